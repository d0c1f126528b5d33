"""Identities are selected without reading the others."""

import h5py
import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.samples import hdf5
from brownid.samples.collection import SampleCollection

PEOPLE, LABELS = 40, 3
NUMBERS = 64  # in a latent


@pytest.fixture
def many(monkeypatch):
    """120 samples of 40 people, label after label, with latents that fill a chunk each four."""
    monkeypatch.setattr("brownid.samples.columnar.CHUNK_BYTES", 4 * NUMBERS * 4)
    values = np.arange(PEOPLE * LABELS, dtype=np.float32)[:, None]
    return SampleCollection(
        latents=np.repeat(values, NUMBERS, axis=1),
        embeddings=values,
        identities=np.tile(np.arange(PEOPLE), LABELS),
        labels=[f"label_{number}" for number in range(LABELS) for _ in range(PEOPLE)],
        generator="world",
        recognition="slim",
    )


@pytest.mark.parametrize("save", ["save", "save_published"])
@pytest.mark.parametrize("wanted", [[3], [0, 39], [7, 5, 6, 20], range(40)])
def test_loading_some_identities_gives_what_selecting_them_gives(collection, many, tmp_path, assert_same, save, wanted):
    getattr(many, save)(tmp_path / "many.h5")
    everything = SampleCollection.load(tmp_path / "many.h5")
    assert_same(SampleCollection.load(tmp_path / "many.h5", identities=wanted), everything.select(wanted))


@pytest.mark.parametrize("save", ["save", "save_published"])
def test_an_unknown_identity_is_named_with_the_file(collection, tmp_path, save):
    getattr(collection, save)(tmp_path / "few.h5")
    with pytest.raises(BrownidError, match=r"few\.h5: the collection has no identity 2, 3\."):
        SampleCollection.load(tmp_path / "few.h5", identities=[0, 3, 2])


@pytest.mark.parametrize("save", ["save", "save_published"])
@pytest.mark.parametrize("wanted", [[0.9], ["0"], [True], np.array([0.9]), np.array([True, False, True])])
def test_identities_that_are_no_whole_numbers_are_refused(collection, tmp_path, save, wanted):
    getattr(collection, save)(tmp_path / "few.h5")
    sentence = "the identities asked for must be whole numbers"
    with pytest.raises(BrownidError, match=sentence):
        collection.select(wanted)
    with pytest.raises(BrownidError, match=sentence):
        SampleCollection.load(tmp_path / "few.h5", identities=wanted)


@pytest.mark.parametrize("wanted", [[2**70], [-(2**70)], [0, 2**63], np.array([2**64 - 1], np.uint64)])
def test_identities_beyond_what_can_be_stored_are_refused(collection, wanted):
    with pytest.raises(BrownidError, match=rf"the identities asked for must .* at most {2**63 - 1}, not {wanted[-1]}"):
        collection.select(wanted)


@pytest.mark.parametrize("wanted", [torch.tensor([1, 7]), np.array([7, 1], np.uint8), {1, 7}, iter([np.int32(1), 7])])
def test_identities_may_come_in_any_kind_of_whole_numbers(collection, wanted):
    assert collection.select(wanted).identities.tolist() == [1, 1, 7, 7]


def test_damage_among_other_identities_is_not_read(many, tmp_path):
    path = tmp_path / "many.h5"
    many.save(path)
    data = bytearray(path.read_bytes())
    data[data.index(many.latents[30].tobytes()) + 5] ^= 1
    path.write_bytes(bytes(data))
    np.testing.assert_array_equal(SampleCollection.load(path, identities=[3]).latents[:, 0], [3, 43, 83])
    with pytest.raises(BrownidError, match="not a readable HDF5 file"):
        SampleCollection.load(path, identities=[30])


def test_damage_to_the_groups_of_others_is_not_read(collection, tmp_path):
    collection.save_published(tmp_path / "few.h5")
    with h5py.File(tmp_path / "few.h5", "r+") as file:
        file["00001/reference"].attrs.modify("network_type", "eg3d")
    assert len(SampleCollection.load(tmp_path / "few.h5", identities=[0, 7])) == 4


@pytest.mark.parametrize("block_rows", [1, 3, 100])
@pytest.mark.parametrize("rows", [[0], [2, 3, 4], [0, 9, 10, 49], list(range(50)), list(range(0, 50, 7)), []])
def test_rows_of_a_dataset_are_read_as_indexing_gives_them(tmp_path, monkeypatch, rows, block_rows):
    monkeypatch.setattr(hdf5, "BLOCK_ROWS", block_rows)
    values = np.arange(100.0).reshape(50, 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        chunked = file.create_dataset("chunked", data=values, chunks=(4, 2))
        plain = file.create_dataset("plain", data=values)
        for item in (chunked, plain):
            np.testing.assert_array_equal(hdf5.read_rows(item, np.array(rows, dtype=int)), values[rows])
            single = hdf5.read_rows(item, None, np.dtype(np.float32))
            assert single.dtype == np.float32 and np.array_equal(single, values)
