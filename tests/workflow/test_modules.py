"""Other workflows import this one as a module from a local clone, as in a Snakefile that snakedeploy writes."""

import shutil
import subprocess

import pytest
from conftest import PROJECT, TARGETS, TINY, dry_run, pending

IMPORT = """
configfile: "config/config.yaml"

module brownid:
    snakefile: "{snakefile}"
    config: config{prefix}

use rule * from brownid{renamed}
"""


@pytest.fixture
def importer(tmp_path):
    """Another workflow's folder: its Snakefile, and its configuration; returns the jobs that it would run."""

    def jobs(prefix="", renamed="", snakefile=PROJECT / "workflow/Snakefile", *arguments):
        (tmp_path / "config").mkdir(exist_ok=True)
        shutil.copyfile(TINY, tmp_path / "config/config.yaml")
        text = IMPORT.format(snakefile=snakefile, prefix=prefix and f'\n    prefix: "{prefix}"', renamed=renamed)
        (tmp_path / "workflow").mkdir(exist_ok=True)
        (tmp_path / "workflow/Snakefile").write_text(text)
        return pending(tmp_path, *arguments, project=tmp_path / "workflow", configfiles=())

    return jobs


def test_a_module_from_a_repository_is_refused_in_a_sentence(tmp_path):
    repository, importing = tmp_path / "repository", tmp_path / "importing"
    for file in ("Snakefile", "workflow/Snakefile"):
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / file, repository / file)
    git = ["git", "-C", repository, "-c", "user.name=one", "-c", "user.email=one@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    source = f'gitfile("{repository}", path="workflow/Snakefile", commit="{commit}")'
    importing.mkdir()
    text = IMPORT.replace('"{snakefile}"', source).replace('configfile: "config/config.yaml"', "")
    (importing / "Snakefile").write_text(text.format(prefix="", renamed=""))
    status, said = dry_run(importing, project=importing)
    assert status == 1 and "brownid must be a local clone" in said and "Traceback" not in said, said


def test_a_module_with_a_prefix_and_renamed_rules_makes_what_the_workflow_itself_makes(importer, tmp_path):
    (tmp_path / "alone").mkdir()
    alone = pending(tmp_path / "alone")
    assert importer() == alone
    within = importer("faces", " as brownid_*")
    jobs = {rule.removeprefix("brownid_"): count for rule, count in within.items()}
    assert {rule: count for rule, count in jobs.items() if rule not in TARGETS} == alone


def test_with_a_prefix_nothing_is_fetched(tmp_path, importer, capfd):
    importer()
    text = (tmp_path / "workflow/Snakefile").read_text()
    text = text.replace("config: config\n", 'config: config | {"models": {"fetch": True}}\n    prefix: "faces"\n')
    (tmp_path / "workflow/Snakefile").write_text(text)
    with pytest.raises(AssertionError, match=r"models\.fetch cannot be used with `prefix:`"):
        pending(tmp_path, project=tmp_path / "workflow", configfiles=())


def test_the_entry_below_workflow_is_the_workflow(tmp_path):
    assert pending(tmp_path, project=PROJECT / "workflow") == pending(tmp_path)
