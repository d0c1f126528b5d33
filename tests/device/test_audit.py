"""Each entry point gives on the simulated GPU what it gives on the CPU, and crosses no more often than its budget."""

import pytest
from audit import compared, differences, lowered, on_device, read_budgets, write_budgets
from scenarios import SCENARIOS

LOWER = "lower it: python tests/device/audit.py"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' schedulers and NumPy 2
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_agrees_with_the_cpu_within_its_budget(name):
    found, crossings = on_device(name)
    assert not differences(name, found, [tensor.detach() for tensor in SCENARIOS[name]("cpu")])
    above, below = compared(crossings, read_budgets().get(name, {}))
    assert not above, "More crosses between host and device than the budget allows."
    assert not below, f"Less crosses than the budget allows: {LOWER}."


def test_the_table_has_no_budget_of_an_unknown_scenario():
    assert list(read_budgets()) == list(SCENARIOS)


def test_a_budget_is_lowered_and_never_raised():
    budget = {"a.py f": {"waits": [3], "to host": [2, 80]}, "b.py g": {"waits": [1]}}
    found = {"a.py f": {"waits": [2], "to host": [4, 40]}, "c.py h": {"waits": [1]}}
    assert lowered(found, budget) == {"a.py f": {"waits": [2], "to host": [2, 40]}}
    above, below = compared(found, budget)
    assert above == ["a.py f: to host 4 times, the budget has 2", "c.py h: waits 1 times, the budget has 0"]
    assert len(below) == 3


def test_the_table_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.BUDGETS", tmp_path / "budgets.yaml")
    budgets = {"one, of two": {"a.py f": {"waits": [3], "to host": [2, 80]}}, "two": {}}
    write_budgets(budgets)
    assert read_budgets() == budgets


def test_no_loop_over_tiles_waits_or_copies():
    few, many = (on_device(f"pairs and leak guard in {count} tiles")[1] for count in ("few", "many"))
    assert few == many
