"""Who is on the pairs of a benchmark, and the file of their similarities."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from brownid.runtime.errors import BrownidError
from brownid.verification.pair_scores import PairScores, read_pair_scores, write_pair_scores
from brownid.verification.pairs import Pair
from brownid.verification.persons import first_number, inferred_persons, persons_of_pairs, read_persons, write_persons


def test_images_that_genuine_pairs_join_show_one_person():
    images = [*"ab", *"cd", *"bc", *"ef", *"ag"]
    same = [True, True, False, True, False]
    assert inferred_persons(images, same).tolist() == [[0, 0], [1, 1], [0, 1], [2, 2], [0, 3]]
    joined = inferred_persons([*images, *"db"], [*same, True])  # c, d and a, b are one person then
    assert joined.tolist() == [[0, 0], [0, 0], [0, 0], [1, 1], [0, 2], [0, 0]]


def test_persons_do_not_depend_on_the_sides_of_a_pair_and_are_numbered_as_they_occur():
    random = np.random.default_rng(0)
    images, same = random.integers(0, 60, (50, 2)), random.random(50) < 0.5
    persons = inferred_persons(images.ravel().tolist(), same)
    turned = inferred_persons(images[:, ::-1].ravel().tolist(), same)[:, ::-1]
    partition = [(persons == number).ravel().tolist() for number in range(persons.max() + 1)]
    assert sorted(partition) == sorted((turned == number).ravel().tolist() for number in range(turned.max() + 1))
    firsts = [int(np.flatnonzero(persons.ravel() == number)[0]) for number in range(persons.max() + 1)]
    assert firsts == sorted(firsts)


def test_benchmarks_of_ones_own_share_no_number_of_a_person():
    ranges = {first_number(name) >> 32 for name in ("lfw", "calfw", "cplfw", "cfp_fp", "agedb_30")}
    assert len(ranges) == 5 and min(ranges) > 0 and max(ranges) < 2**31


def shown(*pairs):
    return persons_of_pairs([Pair(*pair) for pair in pairs]).tolist()


def test_folders_name_persons_at_the_depth_that_fits_all_pairs():
    assert shown(
        ("Ann/1.jpg", "Ann/2.jpg", True), ("Bo/1.jpg", "Bo/3.jpg", True), ("Ann/9.jpg", "Bo/7.jpg", False)
    ) == [*([0, 0], [1, 1], [0, 1])]
    profiles = [
        ("img/001/frontal/1.jpg", "img/001/profile/1.jpg", True),
        ("img/001/frontal/2.jpg", "img/001/profile/2.jpg", True),
        ("img/002/frontal/1.jpg", "img/001/profile/3.jpg", False),
    ]
    assert shown(*profiles) == [[0, 0], [0, 0], [1, 0]]


def test_file_names_name_persons_where_all_images_are_in_one_folder():
    pairs = [("Ann_0001.jpg", "Ann_0002.jpg", True), ("Ann_0003.jpg", "Bo_0001.jpg", False)]
    assert shown(*pairs, ("Bo_0002.jpg", "Bo_0007.jpg", True)) == [[0, 0], [0, 1], [1, 1]]


def test_names_that_do_not_fit_the_labels_are_not_believed():
    assert shown(("a/1.jpg", "b/2.jpg", True), ("b/2.jpg", "c/1.jpg", True), ("a/3.jpg", "a/1.jpg", False)) == [
        *([0, 0], [0, 0], [1, 0])
    ]


def test_a_table_of_persons_is_read_as_it_was_written(tmp_path):
    persons = np.array([[40_000, 40_000], [2**40, -1]])
    write_persons(tmp_path / "persons.csv", persons)
    np.testing.assert_array_equal(read_persons(tmp_path / "persons.csv", 2), persons)
    with pytest.raises(BrownidError, match=r"persons of 2 pairs, and the benchmark has 3"):
        read_persons(tmp_path / "persons.csv", 3)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "first_person,second_person\n1,x\n", "first_person,second_person\n1\n"]
)
def test_what_is_no_table_of_persons_is_refused(tmp_path, text):
    (tmp_path / "persons.csv").write_text(text)
    with pytest.raises(BrownidError, match=r"persons\.csv: no table of the persons of pairs"):
        read_persons(tmp_path / "persons.csv", 1)


SCORES = {
    "lfw": PairScores(np.array([[7, 7], [7, 2**40]]), np.array([True, False]), np.array([0.75, -0.1], np.float32)),
    "agedb_30": PairScores(np.array([[1, 1]]), np.array([True]), np.array([0.3], np.float32)),
}


def test_the_scores_of_pairs_are_read_as_they_were_written(tmp_path):
    write_pair_scores(tmp_path / "a.parquet", SCORES, {"model": "net"})
    assert pq.read_table(tmp_path / "a.parquet").to_pydict() == {
        "benchmark": ["lfw", "lfw", "agedb_30"],
        "first_person": [7, 7, 1],
        "second_person": [7, 2**40, 1],
        "same": [True, False, True],
        "similarity": pytest.approx([0.75, -0.1, 0.3]),
    }
    found = read_pair_scores(tmp_path / "a.parquet")
    assert list(found) == list(SCORES)
    for name, pairs in found.items():
        for field in ("persons", "same", "similarity"):
            value, expected = getattr(pairs, field), getattr(SCORES[name], field)
            np.testing.assert_array_equal(value, expected)
            assert value.dtype == expected.dtype
    write_pair_scores(tmp_path / "b.parquet", SCORES, {"model": "net"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_scores_of_pairs_that_were_changed_or_are_others_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_pair_scores(path, SCORES, {"model": "net"})
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(BrownidError, match=r"a\.parquet: damaged: its content does not match its checksum"):
        read_pair_scores(path)
    pq.write_table(table.replace_schema_metadata(None), path)
    for damage in (lambda: None, lambda: path.write_bytes(path.read_bytes()[:100]), path.unlink):
        damage()
        with pytest.raises(BrownidError, match=r"a\.parquet: no scores of pairs that can be read"):
            read_pair_scores(path)
