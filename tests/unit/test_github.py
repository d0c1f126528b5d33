"""What only GitHub runs: its workflows name targets that `make` has, and actions and permissions in full."""

import re
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
JOBS = [
    pytest.param(job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text())["jobs"].items()
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_runs_targets_of_make_within_a_time_limit(job):
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    ran = [step.get("run", "") for step in job["steps"]]
    assert set(re.findall(r"\bmake ([a-z-]+)", "\n".join(ran))) <= targets
    assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("job", JOBS)
def test_an_action_has_a_version_and_a_checkout_keeps_no_credentials(job):
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])
            assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_no_more_but_where_a_job_says_so(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def test_the_workflows_of_the_badges_exist():
    badges = re.findall(r"actions/workflows/([\w.]+)/badge", (PROJECT / "README.md").read_text(encoding="utf-8"))
    assert badges and set(badges) <= {path.name for path in WORKFLOWS}


def test_issue_forms_ask_for_something():
    for path in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        form = yaml.safe_load(path.read_text())
        assert form["name"] and form["description"]
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_citation_names_the_contributors():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["authors"] == [{"name": "brownid contributors"}]
