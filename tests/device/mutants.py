"""Does the audit notice a forgotten device? Removes one `.to(device)`, `device=` or `.cpu()` of the library at a time.

    python tests/device/mutants.py [--every N] [FILE...]     files of the library, as dynamics/langevin.py; default: all

Each mutant is a copy of the library in which the scenarios that reach the place run. It is caught if one raises,
differs from the CPU, or crosses more than its budget. Prints those that were not, to be looked at: what is left is
legal (a host number in elementwise arithmetic, a host index), or not reached. Takes seconds a mutant.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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


def reached() -> dict[str, list[str]]:
    """`file:line` -> the scenarios that execute it on the CPU."""
    import torch
    from scenarios import SCENARIOS

    torch.set_num_threads(1)
    found: dict[str, list[str]] = {}
    for name, scenario in SCENARIOS.items():
        lines: set[str] = set()

        def traced(frame, event, _, lines=lines):
            path = frame.f_code.co_filename
            if "/brownid/" not in path or "site-packages" in path:
                return None
            lines.add(f"{path.rpartition('/brownid/')[2]}:{frame.f_lineno}")
            return traced

        sys.settrace(traced)
        try:
            scenario("cpu")
        finally:
            sys.settrace(None)
        for line in lines:
            found.setdefault(line, []).append(name)
    return found


def verdict(names: list[str]) -> str:
    """What the audit says of the library that is imported: empty if it notices nothing."""
    import torch
    from audit import compared, differences, on_device, read_budgets
    from scenarios import SCENARIOS

    torch.set_num_threads(1)
    for name in names:
        try:
            results, crossings = on_device(name)
            apart = differences(name, results, [tensor.detach() for tensor in SCENARIOS[name]("cpu")])
        except Exception as error:
            return f"raises {type(error).__name__}"
        if apart:
            return "differs from the CPU"
        if compared(crossings, read_budgets()[name])[0]:
            return "exceeds the budget"
    return ""


def judged(mutant: Mutant, scenarios: list[str], folder: Path) -> str:
    """The verdict on a mutant, in a process of its own."""
    path = folder / "brownid" / mutant.file
    source = path.read_bytes()
    path.write_bytes(source[: mutant.begin] + mutant.text.encode() + source[mutant.end :])
    command = [sys.executable, __file__, "--verdict", json.dumps(scenarios)]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return "takes too long"
    finally:
        path.write_bytes(source)
    return done.stdout.strip() if done.returncode == 0 else "breaks the import"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--every", type=int, default=1, help="only each N-th")
    parser.add_argument("--scenarios", type=int, default=4, help="of those that reach a place, at most so many")
    parser.add_argument("--verdict", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.verdict:
        print(verdict(json.loads(arguments.verdict)))
        return
    root = LIBRARY / "brownid"
    paths = [root / file for file in arguments.files] or sorted(root.rglob("*.py"))
    kept = [path for path in paths if not str(path.relative_to(root)).startswith(NOT_OF_THE_LIBRARY)]
    mutants = [mutant for path in kept for mutant in mutants_of(path, root)][:: arguments.every]
    lines = reached()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(root, Path(folder) / "brownid")
        for mutant in mutants:
            scenarios = lines.get(f"{mutant.file}:{mutant.line}", [])
            said = judged(mutant, scenarios[: arguments.scenarios], Path(folder)) if scenarios else "is not reached"
            tally[said or "is not noticed"] += 1
            print(f"{mutant.file}:{mutant.line} {mutant.removed!r} {said or 'IS NOT NOTICED'}", flush=True)
    print(f"{len(mutants)} mutants: " + ", ".join(f"{count} {what}" for what, count in tally.most_common()))


if __name__ == "__main__":
    main()
