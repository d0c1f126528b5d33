"""The code fingerprint changes exactly when what a job executes changes."""

from pathlib import Path

import pytest

from brownid.configuration import fingerprint as module
from brownid.configuration.fingerprint import fingerprint, imported_modules

PROJECT = Path(__file__).parents[3]
SCRIPTS = PROJECT / "workflow" / "scripts"

FILES = {
    "job.py": '"""A job."""\nfrom brownid.room import used\nused()\n',
    "env.yaml": "dependencies:\n  - python =3.11\n",
    "brownid/__init__.py": '"""Package."""\n',
    "brownid/room/__init__.py": "from brownid.room.first import used\nfrom brownid.room.second import other\n",
    "brownid/room/first.py": "from brownid.deep import value\n\n\ndef used():\n    return value\n",
    "brownid/room/second.py": "def other():\n    return 2\n",
    "brownid/deep.py": "value = 1\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def of(tree, **edits):
    for name, text in edits.items():
        (tree / name.replace("__", "/")).with_suffix(".py").write_text(text)
    for cached in (module._parse, module._tree, module._direct_imports):
        cached.cache_clear()
    return fingerprint(tree / "job.py", tree / "env.yaml", tree)


def test_a_name_from_a_room_leads_to_the_module_that_defines_it(tree):
    assert imported_modules(tree / "job.py", tree) == {"brownid.room.first", "brownid.deep"}


def test_a_code_edit_in_a_module_imported_transitively_changes_it(tree):
    assert of(tree) != of(tree, brownid__deep="value = 2\n")


def test_an_edit_of_a_module_that_the_job_does_not_use_does_not_change_it(tree):
    assert of(tree) == of(tree, brownid__room__second="def other():\n    return 3\n")


def test_comments_docstrings_and_blank_lines_do_not_change_it(tree):
    edited = '"""New words."""\n\n# why\nfrom brownid.room import used\n\n\nused()\n'
    assert of(tree) == of(tree, job=edited)


def test_reverting_an_edit_gives_the_old_fingerprint_back(tree):
    before = of(tree)
    of(tree, brownid__deep="value = 2\n")
    assert of(tree, brownid__deep=FILES["brownid/deep.py"]) == before


def test_packages_of_the_environment_change_it_and_comments_there_do_not(tree):
    before = of(tree)
    (tree / "env.yaml").write_text("# pinned\n" + FILES["env.yaml"])
    assert of(tree) == before
    (tree / "env.yaml").write_text("dependencies:\n  - python =3.12\n")
    assert of(tree) != before


def test_importing_a_whole_room_depends_on_all_its_modules(tree):
    (tree / "job.py").write_text("import brownid.room\n")
    assert imported_modules(tree / "job.py", tree) >= {"brownid.room.first", "brownid.room.second", "brownid.deep"}


def test_the_scripts_of_the_workflow_depend_on_the_modules_they_run():
    dynamics = imported_modules(SCRIPTS / "sample_references.py", SCRIPTS)
    assert "brownid.dynamics.langevin" in dynamics
    assert "brownid.dynamics.dispersion" not in dynamics
    assert not any(name.startswith("brownid.training") for name in dynamics)
