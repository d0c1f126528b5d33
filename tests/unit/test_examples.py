"""The examples run, and use nothing of `brownid` but its public names."""

import ast
import importlib
from pathlib import Path

import pytest

import brownid

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
LAST_LINES = {
    "hyperface": "mean angle between target and face: ",
    "own_face_model": "mean angle of a variation to its reference: ",
    "own_generator": "embeddings [4, 512]",
    "own_network": "accuracy 100.0 %",
    "release": "3 images",
    "stylegan2_pickle": "gan.pkl and network.pth",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.chdir(tmp_path)
    importlib.import_module(path.stem).main()
    assert capsys.readouterr().out.splitlines()[-1].startswith(LAST_LINES[path.stem])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_uses_public_names_alone(path):
    used = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [node for node in used if ast.unparse(node).split()[1].partition(".")[0] == "brownid"]
    assert ours and all(isinstance(node, ast.ImportFrom) and node.module == "brownid" for node in ours)
    assert {alias.name for node in ours for alias in node.names} <= set(brownid.__all__)
