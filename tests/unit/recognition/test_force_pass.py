"""What a force pass of the published size costs in kernels and bytes, and the rule by which that is counted."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

ROOT = Path(__file__).parents[3]
SHARE = 0.05  # by which counts may differ from the table
sys.path[1:1] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "device")]

import force_pass  # noqa: E402
from counting import counted, shapes_only  # noqa: E402

CASES = [("bfloat16", "compiled"), *((p, "steps") for p in ("bfloat16", "float32")), ("float32", "compiled")]


@pytest.mark.parametrize(
    ("precision", "chains"), [CASES[0], *(pytest.param(*case, marks=pytest.mark.nightly) for case in CASES[1:])]
)
def test_a_force_pass_costs_what_the_table_says(precision, chains):
    with open(force_pass.TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = {row["kind"]: row for row in rows if (row["precision"], row["chains"]) == (precision, chains)}
    found = {row["kind"]: row for row in force_pass.rows(precision, chains)}
    assert found.keys() == expected.keys()
    for kind, row in found.items():
        for field in ("kernels", "gigabytes", "teraflop"):
            recorded = float(expected[kind][field])
            assert abs(row[field] - recorded) <= SHARE * recorded, (
                f"{kind}: {row[field]} {field}, the table says {recorded}: if that is meant, run "
                "python benchmarks/force_pass.py --write"
            )


def test_a_force_pass_of_64_in_bfloat16_moves_at_most_55_gigabytes():
    with open(force_pass.TABLE, newline="", encoding="utf-8") as file:
        rows = {(row["precision"], row["chains"], row["kind"]): row for row in csv.DictReader(file)}
    assert float(rows["bfloat16", "compiled", "total"]["gigabytes"]) <= 55


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
