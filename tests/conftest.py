"""Order of the suite: the workflow's tests first, because they begin with the longest wait."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "tests/workflow" not in str(item.path))
