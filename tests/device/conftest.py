"""The device audit runs where it is asked for: pytest -m device."""

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    asked = "device" in config.getoption("markexpr")
    for item in (item for item in items if HERE in item.path.parents):
        item.add_marker("device")
        if not asked:
            item.add_marker(pytest.mark.skip(reason="the device audit: ask for it, pytest -m device"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
