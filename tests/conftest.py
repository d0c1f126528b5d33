"""Device of the suite, and its order for two workers: the long tiny run first, beside the unit tests; what dry-runs on
it last."""

import os

import pytest

from brownid.runtime.process import DEVICE

os.environ.setdefault(DEVICE, "cpu")  # where there is a GPU too: tests compare with numbers of a CPU


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    dry_runs = 0
    for item in items:
        if item.path.name == "test_run.py":
            item.add_marker(pytest.mark.xdist_group("run"))
        elif item.path.parent.name == "workflow":
            item.add_marker(pytest.mark.xdist_group(f"dry-run-{dry_runs % 2}"))
            dry_runs += 1
    items.sort(key=lambda item: (item.path.name != "test_run.py", item.path.parent.name == "workflow"))
