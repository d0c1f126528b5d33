"""Device of the suite, and its order for two workers.

The long tiny run comes first, beside the unit tests, and the tests that need its results last.
"""

import os
from zlib import crc32

from xdist.scheduler import LoadScopeScheduling

from brownid.runtime.process import DEVICE

os.environ.setdefault(DEVICE, "cpu")  # where there is a GPU too: tests compare with numbers of a CPU


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.path.name != "test_run.py", item.path.parent.name == "workflow"))


class Groups(LoadScopeScheduling):
    """The tests in test_run.py form one group, so that one worker alone makes the tiny run and none waits for it.

    The other tests of the workflow need its results, and form two groups. In place of xdist_group, which pytest 9.2 and
    xdist 3.8 pass over.
    """

    def _split_scope(self, nodeid):
        """The name of the group that a test belongs to; without one, its own."""
        if "workflow/test_run.py::" in nodeid:
            return "run"
        if "tests/workflow/" in nodeid:
            return f"dry-run-{crc32(nodeid.encode()) % 2}"
        return nodeid


def pytest_xdist_make_scheduler(config, log):
    return Groups(config, log)
