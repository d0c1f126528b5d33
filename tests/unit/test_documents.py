"""Documents: what they name is there."""

import re
from pathlib import Path

import pytest

import brownid

PROJECT = Path(__file__).parents[2]
LIBRARY = PROJECT / "workflow" / "scripts" / "brownid"
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("*/*.md"), *PROJECT.glob("docs/*/*.md")]
NAMED = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # which names what was, too


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    links = [link for link in links if not link.startswith("../../actions/")]  # pages of GitHub, next to the README's
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.parametrize("document", NAMED, ids=name)
def test_source_files_that_are_named_exist(document):
    named = re.findall(r"`((?:[\w.]+/)+[\w]+\.(?:py|smk|md|toml|txt))`", document.read_text(encoding="utf-8"))
    places = (PROJECT, LIBRARY, LIBRARY.parent)
    named = [path for path in named if not path.endswith("RULE.py")]  # any rule
    assert not [path for path in named if not any((place / path).exists() for place in places)]


def test_the_citation_and_the_changelog_are_those_of_this_version():
    (changed, *_) = re.findall(r"^## (\d\S+)", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    (cited,) = re.findall(r"^version: (\S+)$", (PROJECT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert changed == cited == brownid.__version__


@pytest.mark.parametrize("document", ["containers/Dockerfile", "docs/how-to/containers.md"])
def test_a_container_writes_as_the_user_into_a_folder_that_is_there(document):
    before, _, after = (PROJECT / document).read_text(encoding="utf-8").partition("docker run")
    command = after.partition("--configfile")[0]
    assert before.rstrip("# \n").endswith("mkdir -p runs") and '--volume "$PWD/runs:/runs"' in command
    assert '--user "$(id -u):$(id -g)" --env HOME=/tmp' in command


def test_each_command_of_the_cluster_has_an_environment_with_what_it_needs():
    environments = re.findall(r"^conda .*$", (PROJECT / "docs/cluster.md").read_text(encoding="utf-8"), re.MULTILINE)
    sending, computing, installing = environments
    assert "--name brownid-workflow --file envs/workflow.yaml" in sending
    assert "--name brownid --file envs/torch-gpu.yaml" in computing
    assert installing.startswith("conda run --name brownid python -m pip install --editable .")
