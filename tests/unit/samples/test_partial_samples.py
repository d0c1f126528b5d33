"""Samples that lack what others have: kept without loss by both formats, and refused by what computes with them."""

import h5py
import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection, merge


def everything(path) -> dict:
    """Every group, dataset and attribute of an HDF5 file, in a form that compares."""
    found = {}

    def visit(name, item):
        content = None if isinstance(item, h5py.Group) else (str(item.dtype), item.shape, item[()].tobytes())
        found[name] = (content, {key: (type(value), value) for key, value in item.attrs.items()})

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return found


def write_others(path, change=None):
    """A file of four samples, each with other fields, groups and attributes in an order of their own."""
    numbers = np.random.default_rng(3)
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["minor"], file.attrs["major"], file.attrs["magic"] = 0, 2, "synthetics_collection"
        whole = file.create_group("00012/reference")
        whole.attrs["embedding_type"], whole.attrs["network_type"] = "arcface", "eg3d"
        for name, shape in {"embedding": 512, "c_label": 25, "w_latent": 512, "z_latent": 512}.items():
            whole[name] = numbers.normal(size=(1, shape)).astype(np.float32)
        whole["w_plus_latent"] = numbers.normal(size=(1, 14, 512))
        drawn = file.create_group("00003/reference")
        drawn["z_latent"] = numbers.normal(size=(1, 512)).astype(np.float32)
        drawn.attrs["network_type"] = "eg3d"
        embedded = file.create_group("00003/photo_2")
        embedded["embedding"] = numbers.normal(size=(1, 512)).astype(np.float32)
        embedded.attrs["embedding_type"], embedded.attrs["network_type"] = "arcface", ""
        file.create_group("00012/photo_10")["w_latent"] = numbers.normal(size=(1, 512)).astype(np.float32)
        if change:
            change(file)


def _drop_attributes(file):
    for sample in ("00012/reference", "00003/reference", "00003/photo_2"):
        for name in list(file[sample].attrs):
            del file[sample].attrs[name]


def _leave_embeddings_alone(file):
    for identity in file.values():
        for sample in identity.values():
            for name in set(sample) - {"embedding"}:
                del sample[name]


def _use_half_precision(file):
    for name in ("00012/reference", "00012/photo_10"):
        half = file[name]["w_latent"][:].astype(">f2")
        del file[name]["w_latent"]
        file[name]["w_latent"] = half


@pytest.mark.parametrize("change", [None, _drop_attributes, _leave_embeddings_alone, _use_half_precision])
def test_published_to_ours_and_back_loses_nothing(tmp_path, change):
    theirs, ours, back = (tmp_path / name for name in ("theirs.h5", "ours.h5", "back.h5"))
    write_others(theirs, change)
    loaded = SampleCollection.load(theirs, partial=True)
    loaded.save(ours)
    SampleCollection.load(ours, partial=True).save_published(back)
    assert everything(back) == everything(theirs)
    merge([ours], ours, complete=False)
    SampleCollection.load(ours, partial=True).save_published(back)
    assert everything(back) == everything(theirs)


def test_absent_rows_are_nan_and_samples_are_in_canonical_order(tmp_path):
    write_others(tmp_path / "theirs.h5")
    loaded = SampleCollection.load(tmp_path / "theirs.h5", partial=True)
    assert loaded.identities.tolist() == [3, 3, 12, 12]
    assert loaded.labels == ["reference", "photo_2", "reference", "photo_10"]
    assert np.isnan(loaded.latents).all(axis=1).tolist() == [True, True, False, False]
    assert np.isnan(loaded.embeddings).all(axis=1).tolist() == [True, False, False, True]
    assert loaded.extra["w_plus_latent"].shape == (4, 14, 512) and loaded.extra["w_plus_latent"].dtype == np.float64


def test_stages_never_see_partial_samples_unasked(tmp_path, make_collection):
    write_others(tmp_path / "theirs.h5")
    with pytest.raises(BrownidError, match=r"theirs\.h5: identity 3, label 'reference' \(row 0\) lacks latents"):
        SampleCollection.load(tmp_path / "theirs.h5")
    with pytest.raises(BrownidError, match=r"identity 3, label 'reference' .* lacks embeddings"):
        SampleCollection.load(tmp_path / "theirs.h5", columns=("embeddings",))
    latents = np.full((6, 8), np.nan)
    with pytest.raises(BrownidError, match=r"identity 0, label 'reference' .* lacks latents"):
        make_collection(latents=latents)
    latents[1:, 3] = 1
    with pytest.raises(BrownidError, match="holds NaN or infinite"):
        make_collection(latents=latents, partial=True)


def test_requiring_a_column_names_the_first_sample_without_it(make_collection, tmp_path):
    latents = np.ones((6, 8))
    latents[4:] = np.nan
    made = make_collection(latents=latents, partial=True)
    assert made.require("embeddings") is made
    with pytest.raises(BrownidError, match=r"identity 7, label 'reference' .* lacks latents"):
        made.require("embeddings", "latents")
    assert len(made.select([0, 1]).require("latents")) == 4
    make_collection(latents=None).save(tmp_path / "s.h5")
    assert SampleCollection.load(tmp_path / "s.h5", columns=("embeddings", "extra"), required=True).latents is None
    with pytest.raises(BrownidError, match=r"s\.h5: the collection has no latents"):
        SampleCollection.load(tmp_path / "s.h5", required=True)


def test_partial_collections_join_and_stay_partial(make_collection, assert_same):
    latents = np.ones((6, 8))
    latents[0] = np.nan
    made = make_collection(latents=latents, partial=True)
    joined = SampleCollection.concatenate([made.select([0]), make_collection(latents=np.ones((6, 8))).select([1, 7])])
    assert joined.partial
    assert_same(joined, made)


def test_members_that_the_format_does_not_know_are_reported(tmp_path, caplog):
    write_others(tmp_path / "theirs.h5", lambda file: file["00012/reference"].create_dataset("depth", data=[1.0]))
    SampleCollection.load(tmp_path / "theirs.h5", partial=True)
    assert "passed over depth of 1 samples" in caplog.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda file: file["00003/reference"].create_dataset("c_label", data=np.ones((1, 25), int)),
            r"c_label is float32 \[25\], others are int64",
        ),
        (lambda file: file["00003/photo_2"].attrs.create("embedding_type", h5py.Empty("S5")), None),
        (lambda file: file["00003/photo_2"].attrs.modify("embedding_type", np.bytes_("arcface")), None),
        (lambda file: file["00003/photo_2"].attrs.modify("embedding_type", ["arcface"]), None),
    ],
)
def test_other_ways_to_write_a_sample_are_read_or_refused_with_a_sentence(tmp_path, change, sentence):
    write_others(tmp_path / "theirs.h5", change)
    if sentence is None:
        assert SampleCollection.load(tmp_path / "theirs.h5", partial=True).recognition == "arcface"
        return
    with pytest.raises(BrownidError, match=rf"theirs\.h5: .*{sentence}"):
        SampleCollection.load(tmp_path / "theirs.h5", partial=True)


def test_whole_numbers_must_be_there_for_all(tmp_path):
    def change(file):
        del file["00012/reference/c_label"]
        file["00012/reference/c_label"] = np.ones((1, 25), int)

    write_others(tmp_path / "theirs.h5", change)
    with pytest.raises(BrownidError, match="identity 3, label 'reference' lacks c_label, whole numbers that other"):
        SampleCollection.load(tmp_path / "theirs.h5", partial=True)


def test_states_that_mean_nothing_are_not_published(make_collection, tmp_path):
    for states in ([5] * 6, np.ones((6, 2))):
        made = make_collection(extra={"network_type_state": np.array(states)})
        with pytest.raises(BrownidError, match="network_type_state does not hold states"):
            made.save_published(tmp_path / "p.h5")
