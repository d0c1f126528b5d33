"""Does the audit notice a forgotten device? Removes one `.to(device)`, `device=` or `.cpu()` of the library at a time.

    python tests/device/mutants.py [--every N] [FILE...]     files of the library, as dynamics/langevin.py; default: all

Each mutant is a copy of the library in which the scenarios that reach the place run. It is caught if one raises,
differs from the CPU, or crosses more or less than its budget. Prints those that were not, to be looked at: what is left
is legal (a host number in elementwise arithmetic, a host index), or not reached. Takes a second a mutant.
"""

import argparse
import ast
import importlib
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "workflow" / "scripts"
PATIENCE = 300  # seconds
NOT_OF_THE_LIBRARY = ("planning/", "runtime/gpus.py", "runtime/process.py")  # scenarios; CUDA itself


class Mutant(NamedTuple):
    """A piece of a file's text, by bytes, that is replaced."""

    file: str
    line: int
    begin: int
    end: int
    text: str
    removed: str


def mutants_of(path: Path, root: Path) -> Iterator[Mutant]:
    """Every removal in a file."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(node: ast.AST, end: bool) -> int:
        line, column = (node.end_lineno, node.end_col_offset) if end else (node.lineno, node.col_offset)
        return starts[line - 1] + column

    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        file = str(path.relative_to(root))
        if isinstance(node.func, ast.Attribute) and (_moves(node) or node.func.attr == "cpu"):
            begin, end = place(node.func.value, True), place(node, True)
            yield Mutant(file, node.func.value.end_lineno or 0, begin, end, "", source[begin:end].decode())
        for keyword in node.keywords:
            if keyword.arg == "device" and source[place(keyword, True) : place(keyword, True) + 1] in b"),":
                begin, end = place(keyword, False), place(keyword, True)
                while source[begin - 1 : begin] in (b" ", b"\n"):
                    begin -= 1
                if source[begin - 1 : begin] == b",":
                    begin -= 1
                elif source[end : end + 1] == b",":
                    end += 1
                yield Mutant(file, keyword.lineno, begin, end, "", source[begin:end].decode())


def _moves(call: ast.Call) -> bool:
    """Whether a call `x.to(…)` is given a device or a tensor, not a number format or a layout."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "to" or not call.args:
        return False
    name = ast.unparse(call.args[0])
    return not (name.endswith("dtype") or name.startswith(("torch.f", "torch.b", "torch.i", "torch.u")))


def reached(folder: str) -> dict[str, list[str]]:
    """`file:line` -> the scenarios that execute it on the CPU, the quickest first."""
    sys.path.insert(0, folder)
    from scenarios import SCENARIOS

    found: dict[str, list[tuple[float, str]]] = {}
    for name, scenario in SCENARIOS.items():
        lines: set[str] = set()

        def traced(frame, event, _, lines=lines):
            path = frame.f_code.co_filename
            if "/brownid/" not in path or "site-packages" in path:
                return None
            lines.add(f"{path.rpartition('/brownid/')[2]}:{frame.f_lineno}")
            return traced

        began = time.process_time()
        sys.settrace(traced)
        try:
            scenario("cpu")
        finally:
            sys.settrace(None)
        for line in lines:
            found.setdefault(line, []).append((time.process_time() - began, name))
    return {line: [name for _, name in sorted(those)] for line, those in found.items()}


def verdict(folder: str, names: list[str]) -> str:
    """What the audit says of the library in a folder: empty if it notices nothing."""
    sys.path.insert(0, folder)
    try:
        from audit import compared, differences, on_device, read_budgets
        from scenarios import SCENARIOS
    except Exception as error:
        return f"breaks the import ({type(error).__name__})"
    for name in names:
        try:
            results, crossings = on_device(name)
            apart = differences(name, results, [tensor.detach() for tensor in SCENARIOS[name]("cpu")])
        except Exception as error:
            return f"raises {type(error).__name__}"
        if apart:
            return "differs from the CPU"
        above, below = compared(crossings, read_budgets()[name])
        if above or below:
            return "exceeds the budget" if above else "crosses less than the budget"
    return ""


def forked(function: Callable, *arguments: Any) -> Any:
    """The result of a function in a process of its own, which has torch already, but nothing of the library."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(function(*arguments)))
    process.start()
    sending.close()
    try:
        return receiving.recv() if receiving.poll(PATIENCE) else "takes too long"
    except EOFError:
        return "ends the process"
    finally:
        process.kill()
        process.join()


def judged(mutant: Mutant, scenarios: list[str], folder: Path) -> str:
    """The verdict on a mutant."""
    path = folder / "brownid" / mutant.file
    source = path.read_bytes()
    path.write_bytes(source[: mutant.begin] + mutant.text.encode() + source[mutant.end :])
    try:
        return forked(verdict, str(folder), scenarios)
    finally:
        path.write_bytes(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--every", type=int, default=1, help="only each N-th")
    parser.add_argument("--scenarios", type=int, default=4, help="the most scenarios to run for a place")
    arguments = parser.parse_args()
    for package in ("cv2", "h5py", "pyarrow.ipc", "safetensors.torch", "torch", "yaml"):  # once, not in each process
        importlib.import_module(package)
    sys.modules["torch"].set_num_threads(1)
    sys.dont_write_bytecode = True  # a mutant may be as old and as long as the file
    root = LIBRARY / "brownid"
    paths = [root / file for file in arguments.files] or sorted(root.rglob("*.py"))
    kept = [path for path in paths if not str(path.relative_to(root)).startswith(NOT_OF_THE_LIBRARY)]
    mutants = [mutant for path in kept for mutant in mutants_of(path, root)][:: arguments.every]
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(root, Path(folder) / "brownid", ignore=shutil.ignore_patterns("__pycache__"))
        lines = forked(reached, folder)
        for mutant in mutants:
            scenarios = lines.get(f"{mutant.file}:{mutant.line}", [])
            said = judged(mutant, scenarios[: arguments.scenarios], Path(folder)) if scenarios else "is not reached"
            tally[said or "is not noticed"] += 1
            print(f"{mutant.file}:{mutant.line} {mutant.removed!r} {said or 'IS NOT NOTICED'}", flush=True)
    print(f"{len(mutants)} mutants: " + ", ".join(f"{count} {what}" for what, count in tally.most_common()))


if __name__ == "__main__":
    main()
