"""Protocol lists in bob's format, and the MultiPIE index that follows them."""

import pytest

from brownid.databases.index import DatabaseIndex
from brownid.databases.multipie import Picture, index_multipie, list_files, read_lists
from brownid.runtime.errors import BrownidError

SUBJECTS = (1, 2, 3)
VIEWS = [("05_1", 7), ("04_1", 7), ("05_1", 1), ("05_1", 19)]


def stem(subject, camera="05_1", flash=7):
    return Picture(subject, 1, 1, camera, flash).path.removesuffix(".png")


@pytest.fixture
def root(tmp_path):
    for subject in SUBJECTS:
        for view in VIEWS:
            path = tmp_path / "root" / f"{stem(subject, *view)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "root"


def write(folder, **lists):
    for name, lines in lists.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path = path if path.suffix else path.with_suffix(".lst")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def lists(tmp_path):
    return write(
        tmp_path / "lists",
        P_center_lit__norm__train_world=[f"{stem(3)} 003", "", f"{stem(3, '04_1')} 003"],
        P_center_lit__dev__for_models=[f"{stem(1)} model_1 001"],
        P_center_lit__dev__for_probes=[f"{stem(1, '04_1')} 001"],
        P_center_lit__eval__for_scores=[f"{stem(2)} model_2 002 002"],
    )


def test_the_lists_say_which_pictures_a_group_has(root, lists, tmp_path):
    (lists / "P_center_lit" / "dev" / "notes.txt").write_text("no list")
    index_multipie(root, tmp_path / "index", lists=list_files(lists))
    with DatabaseIndex.open(tmp_path / "index") as index:
        found = {
            group: [s.path for s in index.samples(group, "P_center_lit")] for group in index.groups("P_center_lit")
        }
        assert found == {
            "train": [f"{stem(3, '04_1')}.png", f"{stem(3)}.png"],
            "dev": [f"{stem(1, '04_1')}.png", f"{stem(1)}.png"],
            "eval": [f"{stem(2)}.png"],
        }
        assert index.samples("dev", "P_center_lit")[0].meta["pose"] == "right"


def test_protocols_without_lists_have_the_subjects_of_the_lists_groups(root, lists, tmp_path):
    index_multipie(root, tmp_path / "index", lists=list_files(lists))
    with DatabaseIndex.open(tmp_path / "index") as index:
        subjects = {group: {s.identity for s in index.samples(group, "U")} for group in ("train", "dev", "eval")}
        assert subjects == {"train": {3}, "dev": {1}, "eval": {2}}
        assert {s.meta["flash"] for s in index.samples(protocol="U")} == {1, 7}  # shot 19 is in no protocol
        assert index.samples("dev", "E_lit")[0].path == f"{stem(1)}.png"


def test_csv_lists_name_their_columns(tmp_path):
    write(tmp_path, U__dev__for_models_csv=["PATH,reference_id,Subject_ID", f"{stem(1)},7,001"])
    assert read_lists(list_files(tmp_path)) == {"U": {"dev": {stem(1): "001"}}}
    write(tmp_path, U__dev__for_models_csv=["subject", "1"])
    with pytest.raises(BrownidError, match=r"for_models\.csv: the first line must name .* `path`"):
        read_lists(list_files(tmp_path))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"P_center_lit__norm__train_world": [stem(3)]}, r"train_world\.lst, line 1: expected a path and a client"),
        ({"P_center_lit__norm__train_world": [f"{stem(3)} 004"]}, "shows client 004; by its name it is 3"),
        ({"P_center_lit__norm__train_world": [f"{stem(9)} 009"]}, "which is no MultiPIE picture below"),
        ({"P_center_lit__dev__for_probes": [f"{stem(3)} 003"]}, "subject 3 in the groups dev and train"),
        ({"P_center_lit__dev__for_probes": [f"{stem(1)} 002"]}, "line 1: .* is of client 002, elsewhere of 001"),
    ],
)
def test_lists_that_do_not_fit_are_refused(root, lists, tmp_path, changed, sentence):
    write(lists, **changed)
    with pytest.raises(BrownidError, match=sentence):
        index_multipie(root, tmp_path / "index", lists=list_files(lists))


def test_a_folder_without_lists_is_refused_with_an_example(tmp_path):
    with pytest.raises(BrownidError, match=r"no protocol list .* P_center_lit/norm/train_world\.lst"):
        list_files(tmp_path)
