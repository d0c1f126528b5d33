"""Publishing: what would be uploaded, what is, and what is refused; the Hub is an object with files in a folder."""

import shutil
from fnmatch import fnmatch

import pytest
from typer.testing import CliRunner

from brownid.cli import app
from brownid.release import hub
from brownid.release.contents import write_manifest
from brownid.release.verify import verify
from brownid.runtime.errors import BrownidError

TOKEN = "hf_abcdefghijklmnop"


class FolderHub:
    """The calls of HfApi that publishing makes, on folders KIND/OWNER/NAME."""

    def __init__(self, root):
        self.root, self.private = root, {}

    def whoami(self):
        return {"name": "me"}

    def _folder(self, repo_id, repo_type):
        return self.root / repo_type / repo_id

    def repo_exists(self, repo_id, repo_type):
        return self._folder(repo_id, repo_type).is_dir()

    def list_repo_files(self, repo_id, repo_type):
        folder = self._folder(repo_id, repo_type)
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]

    def create_repo(self, repo_id, repo_type, private, exist_ok):
        folder = self._folder(repo_id, repo_type)
        folder.mkdir(parents=True, exist_ok=exist_ok)
        (folder / ".gitattributes").write_text("*.parquet filter=lfs")
        self.private[repo_id] = private

    def upload_folder(self, repo_id, repo_type, folder_path, commit_message, delete_patterns):
        for path in self.list_repo_files(repo_id, repo_type):
            if delete_patterns and fnmatch(path, delete_patterns) and path != ".gitattributes":
                (self._folder(repo_id, repo_type) / path).unlink()
        shutil.copytree(folder_path, self._folder(repo_id, repo_type), dirs_exist_ok=True)


@pytest.fixture
def api(tmp_path):
    return FolderHub(tmp_path / "hub")


def upload(release, api, replace=False):
    hub.upload(hub.repositories(release, "me/faces"), api, message="tiny", private=True, replace=replace)


def test_the_dataset_repository_is_the_release_and_each_entry_has_a_model_repository(release, api):
    upload(release, api)
    assert verify(api.root / "dataset/me/faces") == []  # with what the Hub added
    assert api.private == {"me/faces": True, "me/faces-slim_lang": True}
    found = set(api.list_repo_files("me/faces-slim_lang", "model"))
    results = {f"results/seed_1/{name}" for name in ("history.csv", "hyperparameters.yml", "pairs.parquet")}
    files = {"README.md", "LICENSE", "CITATION.cff", "seed_1.ckpt", "seed_1.safetensors", "results/seed_1/scores.json"}
    assert found >= files | results and all(
        path.startswith("results/seed_1/") for path in found - files - {".gitattributes"}
    )


def test_a_repository_with_files_is_replaced_only_when_asked_for(release, api):
    upload(release, api)
    left = api.root / "dataset/me/faces/of an earlier version.txt"
    left.touch()
    with pytest.raises(BrownidError, match="me/faces: this repository holds files already; add --replace"):
        upload(release, api)
    upload(release, api, replace=True)
    assert not left.exists() and verify(api.root / "dataset/me/faces") == []


def test_a_damaged_release_and_one_without_a_licence_are_refused(release):
    (release / "LICENSE").unlink()
    with pytest.raises(BrownidError, match="this release is not sound, so it is not published: LICENSE: the file is"):
        hub.repositories(release, "me/faces")
    write_manifest(release)
    with pytest.raises(BrownidError, match=r"this release has no licence.*set release\.licence"):
        hub.repositories(release, "me/faces")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("faces", "name a repository as OWNER/NAME"),
        ("a/b/c", "name a repository as OWNER/NAME"),
        ("me/my faces", "the Hub refuses this name"),
        ("me/../x", "name a repository as OWNER/NAME"),
    ],
)
def test_a_name_that_the_hub_would_refuse_is_refused(release, name, said):
    with pytest.raises(BrownidError, match=said):
        hub.repositories(release, name)


def test_more_files_than_the_hub_takes_are_refused(release, monkeypatch):
    monkeypatch.setattr(hub, "MOST_FILES", 5)
    with pytest.raises(BrownidError, match="at most 5: package it without the layout 'published'"):
        hub.repositories(release, "me/faces")


def test_an_error_of_the_hub_is_a_sentence_without_a_token(release, api):
    def refuse():
        raise OSError(f"401 Unauthorized for token {TOKEN}\nLog in.")

    api.whoami = refuse
    with pytest.raises(BrownidError, match=r"the Hub: .* \(401 Unauthorized for token hf_… Log in\)") as raised:
        upload(release, api)
    assert TOKEN not in str(raised.value) and not api.root.exists()


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in ("publish", *words)], catch_exceptions=False)


def test_the_command_says_what_would_be_uploaded_and_uploads_nothing(release, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    said = invoke(release, "--repo", "me/faces").output
    assert said.startswith("dataset repository me/faces: ") and said.endswith("Nothing was uploaded: add --upload.\n")
    assert "\n  trained_models/ " in said and "\nmodel repository me/faces-slim_lang: " in said
    assert "model repository" not in invoke(release, "--repo", "me/faces", "--no-models").output


def test_the_command_prepares_folders_that_can_be_edited(release, tmp_path):
    done = invoke(release, "--repo", "me/faces", "--prepare", tmp_path / "prepared")
    assert done.output.endswith(f"wrote {tmp_path / 'prepared'} (2 repositories)\n")
    assert verify(tmp_path / "prepared/me/faces") == []
    (tmp_path / "prepared/me/faces/README.md").write_text("edited")
    assert verify(release) == []


def test_the_command_uploads_when_told_to(release, api, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)
    said = invoke(release, "--repo", "me/faces", "--upload").output
    assert "uploaded https://huggingface.co/datasets/me/faces\n" in said
    assert "uploaded https://huggingface.co/me/faces-slim_lang\n" in said and api.private["me/faces"] is False


def test_large_files_of_prepared_folders_take_no_space(release, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "LINKED_FROM", 1)
    hub.prepare(hub.repositories(release, "me/faces", models=False), tmp_path / "prepared")
    assert (tmp_path / "prepared/me/faces/README.md").samefile(release / "README.md")
