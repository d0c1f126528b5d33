"""Whether processes, one per GPU, meet and agree: NCCL between GPUs, gloo between CPUs."""

import json
import tempfile
import time
from pathlib import Path

import torch

from brownid.jobs.distributed import ProcessGroup
from brownid.jobs.launch import run_in_processes
from brownid.planning.resources import Finding, amount
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import default_device

TOPIC = "Processes together"
PATIENCE = 90.0  # seconds for all of it
SIZES = {"cpu": 2**18, "cuda": 2**26}  # numbers of the largest reduction: a quarter of a gigabyte on a GPU
ROUNDS = 5


def examine_group(processes: int, device: str, patience: float = PATIENCE) -> Finding:
    """Whether `processes` reduce tensors to the right numbers, and how fast; NCCL needs a GPU for each."""
    between = "NCCL between GPUs" if device == "cuda" else "gloo between processes on the CPU"
    if device == "cuda" and torch.cuda.device_count() < 2:
        return Finding("note", TOPIC, "one GPU is visible: NCCL was not tried", "ask for two GPUs to try it")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        try:
            run_in_processes(reduce_and_report, {"report": str(report)}, processes, "torchrun", patience=patience)
        except BrownidError as error:
            remedy = "see NCCL_DEBUG=INFO, and NCCL_P2P_DISABLE=1 or NCCL_IB_DISABLE=1, which exclude one way each"
            return Finding("blocks", TOPIC, f"{between} fails: {error}", remedy if device == "cuda" else "")
        if not report.exists():
            return Finding("blocks", TOPIC, f"{between} fails: the processes ended without a result")
        found = json.loads(report.read_text(encoding="utf-8"))
    speed = f"{amount(found['bytes_per_second'])}/s of a reduction of {amount(found['bytes'])}"
    if found["wrong"]:
        return Finding("blocks", TOPIC, f"{between}: wrong results of {', '.join(found['wrong'])}")
    return Finding("fine", TOPIC, f"{between}: {found['processes']} processes agree, {speed}")


def reduce_and_report(report: str, group: ProcessGroup) -> None:
    """What each process does: reductions whose results are known; the first writes what was found."""
    device = default_device()
    wrong = wrong_reductions(group, device)
    values = torch.ones(SIZES[device], device=device)
    group.sum(values)
    began = time.perf_counter()
    for _ in range(ROUNDS):
        total = group.sum(values)
    float(total[0])  # waits for the GPU
    seconds = (time.perf_counter() - began) / ROUNDS
    if group.rank == 0:
        found = {
            "processes": group.size,
            "wrong": wrong,
            "bytes": values.nbytes,
            "bytes_per_second": values.nbytes / seconds,
        }
        Path(report).write_text(json.dumps(found), encoding="utf-8")


def wrong_reductions(group: ProcessGroup, device: str) -> list[str]:
    """The reductions and number formats whose results are not those of the same numbers without a group."""
    wrong = []
    for dtype in (torch.float32, torch.float64, torch.int64):
        ranks = torch.arange(group.size, device=device, dtype=dtype)[:, None] + torch.arange(
            5, device=device, dtype=dtype
        )
        own = ranks[group.rank]
        for name, reduced, wanted in (
            ("sum", group.sum(own), ranks.sum(0)),
            ("minimum", group.minimum(own), ranks.amin(0)),
            ("maximum", group.maximum(own), ranks.amax(0)),
        ):
            if not torch.equal(reduced, wanted):
                wrong.append(f"{name} ({dtype})")
    return wrong
