"""What a force pass of the published size costs in kernels and bytes, and the rule by which that is counted."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from counting import counted, shapes_only
from torch.nn import functional as F

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "force_pass.py"
SHARE = 0.05  # by which counts may differ from the table


@pytest.fixture(scope="module")
def force_pass():
    spec = importlib.util.spec_from_file_location("force_pass", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float32", marks=pytest.mark.nightly)])
def test_a_force_pass_costs_what_the_table_says(force_pass, precision):
    with open(force_pass.TABLE, newline="", encoding="utf-8") as file:
        expected = {row["kind"]: row for row in csv.DictReader(file) if row["precision"] == precision}
    found = {row["kind"]: row for row in force_pass.rows(precision)}
    assert found.keys() == expected.keys()
    for kind, row in found.items():
        for field in ("kernels", "gigabytes", "teraflop"):
            recorded = float(expected[kind][field])
            assert abs(row[field] - recorded) <= SHARE * recorded, (
                f"{kind}: {row[field]} {field}, the table says {recorded}: if that is meant, run "
                "python benchmarks/force_pass.py --write"
            )


def test_each_operation_reads_its_inputs_and_writes_its_results_once():
    with shapes_only():
        x, y = torch.zeros(4, 8), torch.zeros(8)
        counts = counted(lambda: (x.view(8, 4).t(), x + y.expand(4, 8), x.add_(1), x.copy_(y), x.sum()))
    per_operation = [(32 + 8 + 32), (32 + 32), (8 + 32), (32 + 1)]
    assert (counts["total"].kernels, counts["total"].bytes) == (4, 4 * sum(per_operation))


def test_convolutions_and_products_count_their_multiplications():
    with shapes_only():
        x, kernel = torch.zeros(2, 3, 8, 8, requires_grad=True), torch.zeros(5, 3, 3, 3)
        depthwise = torch.zeros(5, 1, 3, 3)

        def passes():
            y = F.conv2d(F.conv2d(x, kernel, padding=1), depthwise, groups=5)
            torch.autograd.grad((y[:, 0, 0] @ torch.zeros(6, 7)).sum(), x)

        counts = counted(passes)
    dense = 2 * (2 * 5 * 8 * 8) * 27
    assert counts["convolution"].operations == 2 * dense  # forwards, and the gradient of x
    assert counts["depthwise"].operations == 2 * 2 * (2 * 5 * 6 * 6) * 9
    assert counts["product"].operations == 2 * 2 * (2 * 7 * 6)
