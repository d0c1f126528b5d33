"""The script that fills the open cells of docs/gpu.md on a GPU runs at toy size on a CPU."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    sys.modules["gpu_benchmark"] = module
    spec.loader.exec_module(module)
    sys.path[:] = path
    yield module
    del sys.modules["gpu_benchmark"]


def test_rows_have_names_of_their_own_and_failures_are_cells(gpu):
    assert len({row.name for row in gpu.ROWS}) == len(gpu.ROWS)

    def fail(sizes):
        raise RuntimeError("CUDA error:\nout of memory")

    assert gpu.measured(gpu.Row("one", "", "", fail), None) == "failed: RuntimeError: CUDA error: out of memory"
    assert gpu.measured(gpu.Row("one", "", "", lambda _: (1234.5, "images/s")), None) == "1 234 images/s"


def test_a_part_of_the_table_runs_at_toy_size(gpu):
    lines = list(gpu.table(gpu.prepared(small=True, seconds=0.0), ["bandwidth", "pairs", "packing"]))
    assert "TOY SIZES" in lines[0]
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["bandwidth", "pairs", "packing"]
    assert not [line for line in lines if "failed" in line]


@pytest.mark.nightly
def test_the_whole_table_runs_at_toy_size(gpu):
    lines = list(gpu.table(gpu.prepared(small=True, seconds=0.0)))
    assert len(lines) == 4 + len(gpu.ROWS)
    assert not [line for line in lines if "failed" in line]
