"""The generated pages of the documents site, and its navigation; `make documents` builds it."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer

import brownid
from brownid.cli import ORDER, app
from brownid.configuration.loading import load_configuration, merged, read_schema

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("*/*.md"), *PROJECT.glob("docs/*/*.md")]
COMMANDS = typer.main.get_command(app)
PAGES = {path for path in (PROJECT / "docs").rglob("*.md") if path.name != "index.md"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    spec = importlib.util.spec_from_file_location("reference", PROJECT / "docs" / "site" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_every_key_of_a_configuration_is_listed(pages):
    schema = read_schema()
    keys = {key for each in [schema, *schema["$defs"].values()] for key in each.get("properties", {})}
    assert keys <= set(re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|$", pages["configuration"], re.MULTILINE))


def test_the_links_of_the_keys_lead_to_a_list(pages):
    text = pages["configuration"]
    assert set(re.findall(r"\(#(keys-[\w-]+)\)", text)) <= set(re.findall(r"^\((keys-[\w-]+)\)=$", text, re.MULTILINE))


def test_every_command_is_listed_with_its_options(pages):
    assert set(ORDER) <= set(re.findall(r"^## `brownid (\w+)`$", pages["commands"], re.MULTILINE))
    assert "| `--output`, `-o` `YAML` | The configuration to write. | required |" in pages["commands"]
    assert "### `brownid models fetch`" in pages["commands"]


def test_every_public_name_is_listed_with_its_docstring(pages):
    listed = dict(re.findall(r"^### (\w+)\n\n```python\n(?:[^`]*)```\n\n(.+)$", pages["python"], re.MULTILINE))
    assert set(listed) == set(brownid.__all__)
    assert all(listed.values())
    assert " object at " not in pages["python"]  # an address in memory would change with every build


def test_every_page_stands_in_the_navigation():
    home = (PROJECT / "docs" / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n(?::.*\n)*\n([^`]*)```", home, re.MULTILINE)
    named = {(PROJECT / "docs" / f"{line}.md").resolve() for tree in trees for line in tree.split()}
    assert {path.resolve() for path in PAGES} <= named
    assert all(path.exists() for path in named)


def command_lines(document):
    """The words of each `brownid` command in the shell blocks of a document."""
    for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("brownid "):
                yield shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_commands_that_are_named_exist_and_take_these_options(document):
    for words in command_lines(document):
        command = COMMANDS
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= {*known, "--help"}


@pytest.mark.parametrize(
    ("page", "base"), [("compare", "config/paper.yaml"), ("photographs", ""), ("own-models", "")], ids=str
)
def test_the_configurations_of_a_how_to_pass_the_checks(page, base, tmp_path, monkeypatch):
    monkeypatch.setattr("brownid.configuration.loading.check_files", lambda config: None)  # there are none
    text = (PROJECT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    (tmp_path / "seed.yaml").write_text("seed: 1")
    files = [PROJECT / base] if base else [tmp_path / "seed.yaml"]
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(block)
    assert len(files) > 1 and load_configuration(merged(files))
