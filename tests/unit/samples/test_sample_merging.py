"""Merging shards gives what one process would have written, and says which part is wrong."""

import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples import checks, hdf5
from brownid.samples.checks import differing_keys
from brownid.samples.collection import SampleCollection, merge


@pytest.fixture
def save(tmp_path):
    """A function that saves collections as 0.h5, 1.h5 ... and returns the paths."""

    def run(*parts: SampleCollection):
        paths = [tmp_path / f"{number}.h5" for number in range(len(parts))]
        for part, path in zip(parts, paths, strict=True):
            part.save(path)
        return paths

    return run


@pytest.fixture
def merged(tmp_path):
    return tmp_path / "merged.h5"


@pytest.mark.parametrize("block_rows", [1, 4, 8192])
def test_merging_shards_equals_concatenating_them(collection, save, merged, assert_same, monkeypatch, block_rows):
    for module in ("checks", "hdf5"):
        monkeypatch.setattr(f"brownid.samples.{module}.BLOCK_ROWS", block_rows)
    parts = [collection.of_label("augmentation_0"), collection.of_label("reference")]
    merge(save(*parts), merged)
    assert_same(SampleCollection.load(merged), SampleCollection.concatenate(parts))


def test_merging_reads_a_few_rows_at_a_time(collection, save, merged, monkeypatch):
    asked, read_rows = [], hdf5.read_rows

    def counting(item, rows, dtype):
        asked.append(len(rows))
        return read_rows(item, rows, dtype)

    paths = save(collection.select([0, 1]), collection.select([7]))
    monkeypatch.setattr(checks, "BLOCK_ROWS", 3)
    monkeypatch.setattr(hdf5, "read_rows", counting)
    merge(paths, merged)
    assert asked == [3, 3, 1, 1, 2, 2]  # latents and embeddings of each block


def test_merging_a_collection_with_another_into_itself_appends(collection, save, assert_same):
    first, second = save(collection.select([0]), collection.select([1, 7]))
    merge([first, second], first)
    assert_same(SampleCollection.load(first), collection)


def test_empty_shards_add_nothing(collection, save, merged, assert_same):
    merge(save(collection.rows([]), collection), merged)
    assert_same(SampleCollection.load(merged), collection)


def test_formats_may_be_mixed(collection, save, merged, tmp_path, assert_same):
    collection.select([0]).save_published(tmp_path / "published.h5")
    merge([tmp_path / "published.h5", *save(collection.select([1, 7]))], merged)
    assert_same(SampleCollection.load(merged), collection)


def test_precision_is_never_lost_unasked(make_collection, save, merged):
    single = make_collection().select([0])
    double = make_collection(latents=np.random.default_rng(1).normal(size=(6, 8))).select([1, 7])
    paths = save(double, single)
    merge(paths, merged)
    np.testing.assert_array_equal(SampleCollection.load(merged).latents[:4], double.latents)
    with pytest.raises(BrownidError, match=r"0\.h5 has latents in float64, the ones before it in float32.*first"):
        merge(paths[::-1], merged)


def test_a_part_that_does_not_fit_is_named(make_collection, save, merged):
    paths = save(make_collection().select([0]), make_collection(generator="stylegan2").select([1]))
    with pytest.raises(BrownidError, match=r"1\.h5 has the generator 'stylegan2', the ones before it 'procedural'"):
        merge(paths, merged)
    paths = save(make_collection().select([0]), make_collection(recognition="arcface").select([1]))
    with pytest.raises(BrownidError, match=r"1\.h5 has the recognition 'arcface'"):
        merge(paths, merged)
    paths = save(make_collection().select([0]), make_collection(latents=None).select([1]))
    with pytest.raises(BrownidError, match=r"1\.h5 has the columns embeddings \[4\]"):
        merge(paths, merged)
    assert not merged.exists()


def test_a_sample_in_two_parts_is_named_with_both(collection, save, merged):
    paths = save(collection.select([0, 1]), collection.select([7]), collection.rows([2, 5]))
    with pytest.raises(
        BrownidError, match=r"identity 1, label 'reference' occurs in more than one part: in .*0\.h5 and in .*2\.h5"
    ):
        merge(paths, merged)


def test_settings_that_differ_are_named_and_can_be_dropped(make_collection, save, merged):
    first = {"seed": 1, "variations": {"iterations": 3, "radius": 12.0}}
    second = {"seed": 1, "variations": {"iterations": 4, "radius": 12.0}, "extra": None}
    paths = save(make_collection(settings=first).select([0]), make_collection(settings=second).select([1]))
    with pytest.raises(
        BrownidError, match=r"1\.h5 was made with other settings than .*0\.h5: extra, variations\.iterations differ"
    ):
        merge(paths, merged)
    merge(paths, merged, any_settings=True)
    assert SampleCollection.load(merged).settings == {}
    merge(save(*(make_collection(settings=first).select([person]) for person in (0, 1))), merged)
    assert SampleCollection.load(merged).settings == first


def test_differing_keys_are_written_from_the_outside_in():
    assert differing_keys({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "d": 2}) == ["a.c"]
    assert differing_keys({"a": {"b": 1}}, {"a": 3}) == ["a"]
    assert differing_keys({"a": None}, {}) == ["a"]


def test_an_identity_that_lacks_a_label_is_named(collection, save, merged, assert_same):
    parts = [collection.select([0, 1]), collection.rows([4])]
    with pytest.raises(
        BrownidError, match=r"1\.h5: identity 7 lacks the label 'augmentation_0', which others have.* --incomplete"
    ):
        merge(save(*parts), merged)
    merge(save(*parts), merged, complete=False)
    assert_same(SampleCollection.load(merged), SampleCollection.concatenate(parts))


def test_identities_and_labels_are_exactly_those_expected(collection, save, merged):
    paths = save(collection.select([0, 1]), collection.select([7]))
    labels = ["reference", "augmentation_0"]
    merge(paths, merged, identities=[7, 0, 1], labels=labels)
    with pytest.raises(BrownidError, match=r"of the 5 identities expected, none of .*0\.h5, .*1\.h5 has 2, 3: make"):
        merge(paths, merged, identities=[0, 1, 2, 3, 7])
    with pytest.raises(BrownidError, match=r"1\.h5: identity 7 is not one of the 2 expected"):
        merge(paths, merged, identities=[0, 1])
    with pytest.raises(BrownidError, match=r"the expected identities must be whole numbers, not 0\.9"):
        merge(paths, merged, identities=[0.9, 1, 7])
    with pytest.raises(BrownidError, match=r"0\.h5: identity 0 lacks the label 'augmentation_1', which every"):
        merge(paths, merged, labels=[*labels, "augmentation_1"])
    with pytest.raises(BrownidError, match=r"0\.h5: identity 0 has the label 'augmentation_0', which none should"):
        merge(paths, merged, labels=["reference"])


def test_merging_nothing_is_refused(merged):
    with pytest.raises(BrownidError, match="there are no collections to merge"):
        merge([], merged)


def test_shards_of_version_0_1_and_of_today_are_joined(make_collection, save, merged):
    old = {"network_name": "off_the_shelf", "painted": True, "variations": {"settings": {"start_spread": 0.8}}}
    new = {
        "network_name": "steering",
        "embedding_conditioned": True,
        "variations": {"settings": {"start_interpolation": 0.8}},
    }
    parts = [
        make_collection(settings=old, recognition="off_the_shelf").select([0]),
        make_collection(settings=new, recognition="steering").select([1]),
    ]
    merge(save(*parts), merged)
    assert SampleCollection.load(merged).recognition == "off_the_shelf"
    new["variations"]["settings"]["start_interpolation"] = 0.7
    with pytest.raises(BrownidError, match=r"variations\.settings\.start_interpolation differ"):
        merge(save(parts[0], make_collection(settings=new, recognition="steering").select([1])), merged)
