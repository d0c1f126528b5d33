"""One job in several processes: started by torchrun or srun, ended together, with one error message.

`python -m brownid.jobs.processes CALL.json` is what the launcher starts, once a process.
"""

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.errors import BrownidError, sentence_of
from brownid.resuming import TERMINATED, Terminated, terminable
from brownid.runtime import logger, start_process

LAUNCHERS = ("auto", "torchrun", "srun")
LOCAL = "127.0.0.1"
PR_SET_PDEATHSIG = 1


def run_in_processes(function: str, arguments: Mapping[str, Any], processes: int, launcher: str = "auto") -> None:
    """Call `function` ("module:name") with `arguments` (plain values and paths) and its `share` in each process.

    "srun" starts them on the GPUs and nodes that Slurm gave this job, "torchrun" on this machine, "auto" by whether
    Slurm gave it several tasks. Raises `BrownidError` with the sentence of the process that failed first; SIGTERM is
    passed on, and ends this process too once they have saved their state.
    """
    if launcher not in LAUNCHERS:
        raise BrownidError(f"launcher is {launcher!r}, but must be one of {', '.join(LAUNCHERS)}.")
    if launcher == "auto":
        launcher = "srun" if int(os.environ.get("SLURM_NTASKS", "1")) > 1 else "torchrun"
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".processes-") as folder:  # where all nodes see it
        call = Path(folder) / "call.json"
        call.write_text(json.dumps({"function": function, "arguments": dict(arguments)}, default=str))
        command = _command(launcher, processes, call)
        logger.info("%d processes by %s", processes, launcher)
        code = _wait(command, _environment(processes))
        sentence = call.with_name("error.txt")
        if code and sentence.exists():
            raise BrownidError(sentence.read_text())
    if code:
        raise BrownidError(f"the {processes} processes that {launcher} started failed with exit code {code}; see above")


def _command(launcher: str, processes: int, call: Path) -> list[str]:
    worker = ["-m", "brownid.jobs.processes", str(call)]
    if launcher == "srun":
        return ["srun", f"--ntasks={processes}", "--kill-on-bad-exit=1", sys.executable, *worker]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*torchrun, *worker]


def _environment(processes: int) -> dict[str, str]:
    """Where the processes meet (srun starts the first on this very node), and their part of the CPU threads."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    host = socket.gethostname() if "SLURM_JOB_ID" in os.environ else LOCAL
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", "1")) // processes)
    library = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH"))))
    meeting = {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
    return {**os.environ, **meeting, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}


def _wait(command: list[str], environment: Mapping[str, str]) -> int:
    """The exit code of a command, to which SIGTERM is passed on."""
    with subprocess.Popen(command, env=environment, preexec_fn=_end_with_parent) as launched, terminable():
        try:
            return launched.wait()
        except Terminated:
            launched.send_signal(signal.SIGTERM)
            launched.wait()
            raise


def _end_with_parent() -> None:
    """Let the launcher get SIGTERM where this process is killed hard: nobody else would end it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """One of the processes."""
    call = Path(sys.argv[1])
    content = json.loads(call.read_text())
    from brownid.dynamics.processes import joined

    with joined() as share:
        start_process(share.rank)
        module, _, name = content["function"].partition(":")
        try:
            getattr(importlib.import_module(module), name)(**content["arguments"], share=share)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            if share.rank == 0:
                call.with_name("error.txt").write_text(sentence)
            sys.exit(1)
        except Terminated:
            sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
