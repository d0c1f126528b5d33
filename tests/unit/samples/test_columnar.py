"""Our collection format gives back what it was given, and says what is wrong with a file."""

import h5py
import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection


@pytest.fixture
def saved(collection, tmp_path):
    path = tmp_path / "samples.h5"
    collection.save(path)
    return path


def test_saving_and_loading_gives_the_same_collection(make_collection, tmp_path, assert_same):
    made = make_collection(
        labels=["reference", "lighting/left side"] * 3,
        extra={"z_latent": np.eye(6, 8), "c_label": np.arange(12).reshape(6, 2)},
        settings={"iterations": 3, "names": ["a"]},
    )
    made.save(tmp_path / "samples.h5")
    loaded = SampleCollection.load(tmp_path / "samples.h5")
    assert_same(loaded, made)
    assert loaded.settings == made.settings


def test_equal_collections_give_equal_files(collection, saved, tmp_path):
    collection.save(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == saved.read_bytes()


def test_no_text_stands_in_the_heap_without_checksum(make_collection, tmp_path):
    made = make_collection(settings={"a": "b" * 100_000}, extra={"z_latent": np.ones((6, 3))})
    made.save(tmp_path / "samples.h5", precision="float16")
    assert b"GCOL" not in (tmp_path / "samples.h5").read_bytes()
    assert SampleCollection.load(tmp_path / "samples.h5").settings == made.settings


@pytest.mark.parametrize(
    "text", [b"augmentation_0", b"procedural", b"slim", b"brownid_samples", b'"iterations"', b"cde"]
)
def test_a_flipped_bit_in_any_text_is_noticed(make_collection, tmp_path, text):
    path = tmp_path / "samples.h5"
    make_collection(settings={"iterations": 3, "long": "cde" * 30_000 if text == b"cde" else ""}).save(path)
    data = bytearray(path.read_bytes())
    data[data.index(text) + 1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BrownidError, match=r"samples\.h5: this is not a readable HDF5 file"):
        SampleCollection.load(path)


def test_files_with_texts_of_variable_length_are_read(make_collection, tmp_path, assert_same):
    path = tmp_path / "samples.h5"
    made = make_collection(settings={"iterations": 3}, labels=["reference", "blick: öffnen"] * 3)
    made.save(path)
    with h5py.File(path, "r+") as file:
        for name in ("magic", "generator", "recognition", "settings"):
            text = file.attrs[name].decode()
            del file.attrs[name]
            file.attrs[name] = text
        labels = file["label_table"].asstr()[:].tolist()
        del file["label_table"]
        file.create_dataset("label_table", data=labels, dtype=h5py.string_dtype())
    assert b"GCOL" in path.read_bytes()
    loaded = SampleCollection.load(path)
    assert_same(loaded, made)
    assert loaded.settings == made.settings


def test_texts_of_any_length_come_back(make_collection, tmp_path, assert_same):
    for words in ({"labels": ["é" * 70_000, "b"] * 3}, {"generator": "", "recognition": "弓" * 20_000}):
        made = make_collection(**words)
        made.save(tmp_path / "samples.h5")
        assert_same(SampleCollection.load(tmp_path / "samples.h5"), made)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a\0b", "the generator holds the character NUL"), ("a" * 60_001, "has 60001 bytes"), ("\ud800", "no valid text")],
)
def test_names_that_cannot_be_stored_are_refused(make_collection, tmp_path, name, sentence):
    with pytest.raises(BrownidError, match=sentence):
        make_collection(generator=name).save(tmp_path / "samples.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["latents", "embeddings"])
def test_a_collection_may_lack_latents_or_embeddings(make_collection, tmp_path, assert_same, missing):
    made = make_collection(**{missing: None})
    made.save(tmp_path / "samples.h5")
    assert_same(SampleCollection.load(tmp_path / "samples.h5"), made)


def test_only_the_columns_asked_for_are_read(saved):
    loaded = SampleCollection.load(saved, columns=("embeddings",))
    assert loaded.latents is None and loaded.embeddings.shape == (6, 4)
    with pytest.raises(BrownidError, match="no column 'embedding'"):
        SampleCollection.load(saved, columns=("embedding",))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BrownidError, match=r"samples\.h5: this is not a readable HDF5 file"):
        SampleCollection.load(saved, columns=())


def test_a_flipped_byte_among_the_latents_is_noticed(collection, saved):
    data = bytearray(saved.read_bytes())
    data[data.index(collection.latents[2].tobytes()) + 5] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(BrownidError, match=r"samples\.h5: this is not a readable HDF5 file"):
        SampleCollection.load(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BrownidError, match=r"absent\.h5: there is no such file"):
        SampleCollection.load(tmp_path / "absent.h5")


def _spoil(change):
    def spoil(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return spoil


def _set(name, value):
    def change(file):
        file[name][3] = value

    return _spoil(change)


def _replace(name, value):
    def change(file):
        del file[name]
        if value is None:
            file.create_group(name)
        else:
            file[name] = value

    return _spoil(change)


def _attribute(name, value):
    return _spoil(lambda file: file.attrs.__setitem__(name, value))


def _shorten(name):
    return _spoil(lambda file: file[name].resize(5, axis=0))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_spoil(lambda file: file.attrs.__delitem__("magic")), "no collection of samples; its magic is None"),
        (_spoil(lambda file: file.attrs.modify("magic", "kittens")), "its magic is 'kittens'"),
        (_spoil(lambda file: file.attrs.modify("version", 9)), "format version is 9; this brownid reads version 1"),
        (_spoil(lambda file: file.__delitem__("identity")), "lacks identity"),
        (_spoil(lambda file: file.attrs.__delitem__("generator")), "lacks attribute generator"),
        (_set("latents", np.nan), r"identity 1, label 'augmentation_0' \(row 3\) lacks latents"),
        (_set("embeddings", np.inf), "embeddings of identity 1, label 'augmentation_0'"),
        (_set("label_code", 0), "identity 1, label 'reference' occurs more than once"),
        (_set("label_code", 9), "a label code lies outside the table of 2 labels"),
        (_replace("identity", None), "identity is a group, not an array of numbers"),
        (_replace("identity", 5), r"identity is int64 \[\], not"),
        (_replace("identity", np.array([2**64 - 1] * 6, np.uint64)), f"identities must be .* not {2**64 - 1}"),
        (_replace("identity", h5py.Empty("i8")), "identity is empty, not"),
        (_replace("label_table", [1, 2]), "label_table is no list of texts"),
        (_replace("label_code", np.zeros(6)), "label_code is float64"),
        (_replace("latents", ["a"] * 6), "latents is object"),
        (_spoil(lambda file: file.create_group("extra/c_label")), "extra/c_label is a group"),
        (_spoil(lambda file: file.__setitem__("extra", [1])), "extra is no group of columns"),
        (_attribute("settings", "[1]"), "settings is no mapping"),
        (_attribute("settings", "{1"), "not a readable HDF5 file"),
        (_attribute("generator", 5), "the attribute generator of / is 5, which is no str"),
        (_attribute("magic", [1, 2]), "the attribute magic of / is .*, which is no str"),
        (_attribute("version", [1, 2]), "the attribute version of / is .*, which is no int"),
        (_spoil(lambda file: file["latents"].attrs.__setitem__("read_as", "int8")), "is to be read as 'int8'"),
        (_shorten("latents"), "latents has 5 rows, but there are 6 identities"),
        (_shorten("label_code"), "labels has 5 rows"),
    ],
)
def test_each_corruption_has_its_sentence_naming_the_file(saved, spoil, sentence):
    spoil(saved)
    with pytest.raises(BrownidError, match=rf"samples\.h5: .*{sentence}"):
        SampleCollection.load(saved)
