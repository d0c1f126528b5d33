"""Mutants are found where a device is named, remove that alone, and one that matters is noticed."""

import ast
import re
import subprocess
import sys

import mutants
import pytest
from mutants import forked, mutants_of

SOURCE = '''"""ä: bytes are not characters."""
x = torch.zeros(3, dtype=torch.int64, device=y.device)
z = f(device=device, first=1).to(x).float().to(torch.float64).to(x.dtype).cpu()
'''


def test_each_place_that_names_a_device_is_removed_alone(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")
    source, lines = path.read_bytes(), SOURCE.splitlines()
    mutated = [source[: one.begin] + source[one.end :] for one in mutants_of(path, tmp_path)]
    changed = {line for text in mutated for line in text.decode().splitlines() if line not in lines}
    assert changed == {
        "x = torch.zeros(3, dtype=torch.int64)",
        "z = f( first=1).to(x).float().to(torch.float64).to(x.dtype).cpu()",
        "z = f(device=device, first=1).float().to(torch.float64).to(x.dtype).cpu()",
        "z = f(device=device, first=1).to(x).float().to(torch.float64).to(x.dtype)",
    }
    assert len(mutated) == 4 and all(ast.parse(text) for text in mutated)


def test_a_process_that_ends_is_a_verdict():
    assert forked(len, "four") == 4
    assert forked(raising) == "ends the process"


def raising():
    raise SystemExit


@pytest.mark.nightly
def test_a_forgotten_device_is_noticed():
    command = [sys.executable, mutants.__file__, "recognition/embedding.py"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"'\.to\(device\)' (raises MixedDevicesError|crosses less)", said)
