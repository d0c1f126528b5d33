"""Half precision and compression change the file, and what is handed out only as announced."""

import h5py
import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection, merge
from brownid.samples.columnar import Storage


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples.h5"


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compression_loses_nothing(make_collection, path, assert_same, compression):
    made = make_collection(extra={"z_latent": np.zeros((6, 4000)), "c_label": np.arange(12).reshape(6, 2)})
    made.save(path)
    plain = path.stat().st_size
    made.save(path, compression=compression)
    assert_same(SampleCollection.load(path), made)
    assert path.stat().st_size < plain / 2
    with h5py.File(path) as file:
        assert file["latents"].compression == compression and file["latents"].fletcher32


def test_half_precision_is_stored_as_half_and_handed_out_as_single(make_collection, path):
    made = make_collection(extra={"z_latent": np.ones((6, 3)), "c_label": np.arange(12).reshape(6, 2)})
    made.save(path, precision="float16")
    loaded = SampleCollection.load(path)
    for name, values in made.columns().items():
        read = loaded.columns()[name]
        assert read.dtype == (np.float32 if name != "c_label" else values.dtype)
        np.testing.assert_allclose(read, values, rtol=2**-11)
    np.testing.assert_array_equal(loaded.latents, made.latents.astype(np.float16))
    with h5py.File(path) as file:
        assert file["latents"].dtype == file["extra/z_latent"].dtype == np.float16
        assert file["extra/c_label"].dtype == made.extra["c_label"].dtype


def test_columns_that_are_half_already_stay_half(make_collection, path, assert_same):
    made = make_collection(latents=np.ones((6, 8), np.float16))
    made.save(path)
    assert_same(SampleCollection.load(path), made)


@pytest.mark.parametrize("largest", [65504.0, 65536.0, -1e30])
def test_numbers_beyond_half_precision_are_refused_with_their_sample(make_collection, path, largest):
    latents = np.zeros((6, 8), np.float32)
    latents[4, 1] = largest
    made = make_collection(latents=latents)
    if largest == 65504:
        made.save(path, precision="float16")
        assert SampleCollection.load(path).latents[4, 1] == 65504
        return
    with pytest.raises(BrownidError, match="latents of identity 7, label 'reference' holds numbers beyond 65504"):
        made.save(path, precision="float16")
    assert not path.exists()


def test_absent_rows_are_absent_in_half_precision_too(make_collection, path, assert_same):
    latents = np.ones((6, 8), np.float32)
    latents[2] = np.nan
    made = make_collection(latents=latents, embeddings=None, partial=True)
    made.save(path, precision="float16", compression="gzip")
    assert_same(SampleCollection.load(path, partial=True), made)


def test_merging_can_store_in_half_precision_and_merge_the_result_again(collection, path, tmp_path):
    parts = [tmp_path / "0.h5", tmp_path / "1.h5"]
    collection.select([0, 1]).save(parts[0], precision="float16")
    collection.select([7]).save(parts[1])
    merge(parts, path, storage=Storage("float16", "lzf"))
    np.testing.assert_array_equal(SampleCollection.load(path).latents, collection.latents.astype(np.float16))
    merge(parts, path)
    np.testing.assert_array_equal(SampleCollection.load(path).latents[4:], collection.latents[4:])


def test_unknown_storage_is_refused(collection, path):
    with pytest.raises(BrownidError, match="the precision 'bfloat16' is unknown; choose float16"):
        collection.save(path, precision="bfloat16")
    with pytest.raises(BrownidError, match="the compression 'zip' is unknown; choose gzip or lzf"):
        collection.save(path, compression="zip")
