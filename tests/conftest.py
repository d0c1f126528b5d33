"""Device of the suite, and its order for two workers: the long tiny run first, beside the unit tests; what dry-runs on
it last."""

import os
from zlib import crc32

from xdist.scheduler import LoadScopeScheduling

from brownid.runtime.process import DEVICE

os.environ.setdefault(DEVICE, "cpu")  # where there is a GPU too: tests compare with numbers of a CPU


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.path.name != "test_run.py", item.path.parent.name == "workflow"))


class Groups(LoadScopeScheduling):
    """One worker has the tests of the tiny run, which the other would wait for; each has half of those on its results.

    In place of xdist_group, which pytest 9.2 and xdist 3.8 pass over.
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
