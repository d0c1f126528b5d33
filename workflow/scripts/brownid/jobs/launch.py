"""One job in several processes: started by torchrun or srun, ended together, with one error message.

`python -m brownid.jobs.launch CALL.json` is what the launcher starts, once a process.
"""

import ctypes
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from brownid.jobs.resume import TERMINATED, Terminated, terminable
from brownid.runtime.errors import BrownidError, sentence_of
from brownid.runtime.gpus import held_descriptors
from brownid.runtime.process import default_device, granted, logger, start_process

LAUNCHERS = ("auto", "torchrun", "srun")
LOCAL = "127.0.0.1"
IN_SLURM_JOB = {"SLURM_JOB_ID", "SLURMD_NODENAME"}  # on a login node with an allocation the second is missing
# What the launching process's own step was given would bind the new one; all else srun asks the controller for.
KEPT_BY_SRUN = {"SLURM_CONF", "SLURM_JOB_ID", "SLURM_CLUSTER_NAME"}
PR_SET_PDEATHSIG = 1
LAST_SECONDS = 40  # after which torchrun has killed processes that do not answer SIGTERM


def run_in_processes(
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    processes: int,
    launcher: str = "auto",
    *,
    patience: float | None = None,
) -> None:
    """Call `function`, one on the top level of a module or script, with `arguments` (plain values and paths) and its
    `group` in each process; where there is to be one only, in this.

    On GPUs there are never more processes than GPUs that this job sees. "srun" starts them on the GPUs and nodes that
    Slurm gave this job, "torchrun" on this machine; "auto" is srun on the node of a Slurm job. Raises `BrownidError`
    with the sentence of the process that failed first, and where they take longer than `patience` seconds; SIGTERM is
    passed on, and ends this process too once they have saved their state.
    """
    if launcher not in LAUNCHERS:
        raise BrownidError(f"launcher is {launcher!r}, but must be one of {', '.join(LAUNCHERS)}.")
    processes = _with_a_gpu_each(processes)
    if processes == 1:
        function(**arguments)
        return
    if launcher == "auto":
        launcher = "srun" if os.environ.keys() >= IN_SLURM_JOB and shutil.which("srun") else "torchrun"
    if granted().nodes > 1:
        _check_nodes(processes, granted().nodes, launcher)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".processes-") as folder:  # where all nodes see it
        call = Path(folder) / "call.json"
        content = {"module": _module(function), "function": function.__name__, "arguments": dict(arguments)}
        call.write_text(json.dumps(content, default=str))
        command = _command(launcher, processes, call)
        logger.info("%d processes by %s", processes, launcher)
        code = _wait(command, _environment(launcher, processes), patience)
        sentence = call.with_name("error.txt")
        if code and sentence.exists():
            raise BrownidError(sentence.read_text())
    if code:
        raise BrownidError(
            f"The {processes} processes that {launcher} started ended with exit code {code}: see the log above. The "
            "same command goes on from the last state that they saved."
        )


def _with_a_gpu_each(processes: int) -> int:
    """`processes`, on GPUs at most one per GPU: NCCL refuses two on one. The result is the same."""
    if processes == 1 or default_device() == "cpu":
        return processes
    import torch

    there = torch.cuda.device_count() * granted().nodes
    if there < processes:
        logger.info("%d processes instead of %d, one for each GPU; the result is the same", there, processes)
    return min(processes, there)


def _check_nodes(processes: int, nodes: int, launcher: str) -> None:
    if launcher != "srun":
        raise BrownidError(
            f"The profile asks for {nodes} nodes, but {launcher} starts processes on one: set launcher: srun in the "
            "configuration, or nodes: 1 in the profile."
        )
    if processes % nodes:
        raise BrownidError(
            f"{processes} processes cannot be shared equally by {nodes} nodes: change processes in the configuration, "
            "or nodes in the profile."
        )


def _module(function: Callable[..., None]) -> str:
    """The module that another process imports a function from: where it is in the script that runs here, that script,
    of which Snakemake runs a copy of another name."""
    if function.__module__ == "__main__":
        return Path(str(sys.modules["__main__"].__file__)).stem
    return function.__module__


def _command(launcher: str, processes: int, call: Path) -> list[str]:
    worker = ["-m", "brownid.jobs.launch", str(call)]
    if launcher == "srun":  # next to the step of this process, on the same CPUs, memory and GPUs
        options = ["--overlap", "--overcommit", f"--ntasks={processes}", "--kill-on-bad-exit=1"]
        if granted().nodes > 1:  # else srun may put all on one node, and all their GPUs on another
            each = processes // granted().nodes
            options += [f"--nodes={granted().nodes}", f"--ntasks-per-node={each}", f"--gpus-per-node={each}"]
        return ["srun", *options, sys.executable, *worker]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*torchrun, *worker]


def _environment(launcher: str, processes: int) -> dict[str, str]:
    """Environment of the processes: their rendezvous address (srun starts the first here) and CPU threads."""
    inherited = dict(os.environ)
    if launcher == "srun":
        inherited = {
            name: value
            for name, value in inherited.items()
            if name in KEPT_BY_SRUN or not name.startswith(("SLURM_", "SRUN_"))
        }
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    host = LOCAL if granted().nodes == 1 else socket.gethostname()
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", "1")) // processes)
    library = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH"))))
    meeting = {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
    return {**inherited, **meeting, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}


def _wait(command: list[str], environment: Mapping[str, str], patience: float | None) -> int:
    """The exit code of a command, to which SIGTERM is passed on."""
    options: dict[str, Any] = {"env": environment, "pass_fds": held_descriptors(), "preexec_fn": _end_with_parent}
    with subprocess.Popen(command, **options) as launched, terminable():
        try:
            return launched.wait(patience)
        except subprocess.TimeoutExpired:
            launched.terminate()
            with suppress(subprocess.TimeoutExpired):
                launched.wait(LAST_SECONDS)
            launched.kill()
            raise BrownidError(f"The processes did not end within {patience:g} seconds: one of them waits.") from None
        except Terminated:
            launched.send_signal(signal.SIGTERM)
            launched.wait()
            raise


def _end_with_parent() -> None:
    """Let the launcher get SIGTERM where this process is killed hard, as it would go on (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """One of the processes."""
    call = Path(sys.argv[1])
    content = json.loads(call.read_text())
    from brownid.jobs.distributed import joined, rank

    start_process(rank())
    with ExitStack() as stack:  # left last: leaving it may have to wait for a process that is lost
        try:
            group = stack.enter_context(joined())
            module = importlib.import_module(content["module"])
            getattr(module, content["function"])(**content["arguments"], group=group)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            logger.error("error in process %d: %s", rank(), sentence)
            with suppress(FileExistsError), open(call.with_name("error.txt"), "x", encoding="utf-8") as file:
                file.write(sentence)  # of the process that failed first
            sys.exit(1)
        except Terminated:
            sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
