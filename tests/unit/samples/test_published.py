"""The published collection format 2.0 is read as others write it, and written so that others can read it."""

import h5py
import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.published import canonical_order

MODIFICATION_TIME = 0x12  # the message of an HDF5 object header that would hold it


def write_by_hand(path, collection, order, magic="synthetics_collection", major=2):
    """A file as the format's authors write it, groups made in the given row order."""
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["magic"] = magic
        file.attrs["major"] = major
        file.attrs["minor"] = 0
        for row in order:
            identity = file.require_group(f"{collection.identities[row]:05}")
            sample = identity.create_group(collection.labels[row])
            sample.attrs["network_type"] = collection.generator
            sample.attrs["embedding_type"] = collection.recognition
            sample["w_latent"] = collection.latents[row : row + 1]
            sample["embedding"] = collection.embeddings[row : row + 1]


@pytest.fixture
def published(collection, tmp_path):
    path = tmp_path / "published.h5"
    collection.save_published(path)
    return path


def test_publishing_and_loading_gives_the_same_collection(make_collection, tmp_path, assert_same):
    numbers = np.random.default_rng(1)
    made = make_collection(
        latents=numbers.standard_normal((6, 8)),
        extra={
            "z_latent": numbers.standard_normal((6, 8)).astype(np.float32),
            "w_plus_latent": numbers.standard_normal((6, 3, 8)).astype(np.float32),
            "c_label": np.arange(12).reshape(6, 2),
        },
    )
    made.save_published(tmp_path / "published.h5")
    assert_same(SampleCollection.load(tmp_path / "published.h5"), made)


def test_the_file_has_the_published_structure(collection, published):
    with h5py.File(published) as file:
        assert (file.attrs["magic"], file.attrs["major"], file.attrs["minor"]) == ("synthetics_collection", 2, 0)
        assert list(file) == ["00000", "00001", "00007"]
        sample = file["00007/augmentation_0"]
        assert (sample.attrs["network_type"], sample.attrs["embedding_type"]) == ("procedural", "slim")
        assert set(sample) == {"w_latent", "embedding"}
        np.testing.assert_array_equal(sample["w_latent"][:], collection.latents[5:6])


def test_equal_collections_give_equal_files_at_any_time(collection, published, tmp_path):
    collection.save_published(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == published.read_bytes()
    with h5py.File(published) as file:
        messages = h5py.h5o.get_info(file["00001/reference/w_latent"].id).hdr.mesg.present
        assert not messages & (1 << MODIFICATION_TIME)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 2, 0, 3, 4, 1]])
def test_a_file_written_by_others_in_any_group_order_reads_equal(collection, tmp_path, assert_same, order):
    write_by_hand(tmp_path / "theirs.h5", collection, order)
    assert_same(SampleCollection.load(tmp_path / "theirs.h5"), collection)


def test_reference_comes_first_and_numbers_are_counted():
    labels = ["augmentation_10", "augmentation_2", "reference", "augmentation_0"]
    order = canonical_order(np.array([4, 4, 4, 3]), labels)
    assert [labels[row] for row in order] == ["augmentation_0", "reference", "augmentation_2", "augmentation_10"]


def test_slashes_and_blanks_in_labels_become_underscores(make_collection, tmp_path):
    make_collection(labels=["reference", "light/far left"] * 3).save_published(tmp_path / "published.h5")
    assert SampleCollection.load(tmp_path / "published.h5").labels == ["reference", "light_far_left"] * 3


def test_labels_that_become_the_same_are_refused(make_collection, tmp_path):
    with pytest.raises(BrownidError, match="identity 0 has 2 labels that would all be published as 'a_b'"):
        make_collection(labels=["a b", "a/b"] * 3).save_published(tmp_path / "published.h5")


def test_absent_rows_of_an_extra_column_stay_absent(make_collection, tmp_path, assert_same):
    values = np.ones((6, 3), dtype=np.float32)
    values[1] = np.nan
    made = make_collection(extra={"z_latent": values})
    made.save_published(tmp_path / "published.h5")
    with h5py.File(tmp_path / "published.h5") as file:
        assert "z_latent" not in file["00000/augmentation_0"] and "z_latent" in file["00000/reference"]
    assert_same(SampleCollection.load(tmp_path / "published.h5"), made)


def test_the_largest_identity_is_read_back(make_collection, tmp_path, assert_same):
    made = make_collection(identities=np.array([0, 0, 1, 1, 2**63 - 1, 2**63 - 1]))
    made.save_published(tmp_path / "published.h5")
    assert_same(SampleCollection.load(tmp_path / "published.h5"), made)


def test_numbers_in_labels_are_ordered_at_any_length_and_only_latin_ones_are_numbers():
    labels = ["a_09", "a_10", "a_" + "9" * 5000, "a_1" + "0" * 5000, "a_²", "a_٣"]
    for order in ([5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]):
        shuffled = [labels[row] for row in order]
        assert [shuffled[row] for row in canonical_order(np.zeros(6), shuffled)] == labels


def test_what_the_format_has_no_place_for_is_refused(make_collection, tmp_path):
    with pytest.raises(BrownidError, match="no column 'pose'"):
        make_collection(extra={"pose": np.zeros((6, 1))}).save_published(tmp_path / "published.h5")
    with pytest.raises(BrownidError, match="needs the name of the generator"):
        make_collection(generator="").save_published(tmp_path / "published.h5")


def test_members_that_are_no_samples_are_passed_over(collection, published, assert_same):
    with h5py.File(published, "r+") as file:
        file["notes"] = "made on a Tuesday"
        file.create_group("00000/reference/bfm_model")
    assert_same(SampleCollection.load(published), collection)


def test_a_crash_in_the_middle_of_writing_leaves_the_old_file(collection, published, monkeypatch):
    before = published.read_bytes()

    def interrupted(items, *_):
        yield next(iter(items))
        raise ZeroDivisionError

    monkeypatch.setattr("brownid.samples.published.progress", interrupted)
    with pytest.raises(ZeroDivisionError):
        collection.save_published(published)
    assert published.read_bytes() == before
    assert [path.name for path in published.parent.iterdir()] == ["published.h5"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(published, share):
    data = published.read_bytes()
    published.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BrownidError, match=r"published\.h5: this is not a readable HDF5 file"):
        SampleCollection.load(published, columns=())


def _replace(name, value):
    def change(file):
        del file[name]
        if isinstance(value, dict):
            file.create_group(name)
        elif value is not None:
            file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda file: file.attrs.modify("magic", "synthetics"), "its magic is 'synthetics' instead of"),
        (lambda file: file.attrs.modify("major", 3), r"the format is 3\.0; this brownid reads 2\.0"),
        (lambda file: file.move("00007", "seven"), "the group 'seven' is no identity number"),
        (lambda file: file.move("00007", "٠٠٠٠٧"), "the group '٠٠٠٠٧' is no identity number"),
        (lambda file: file.move("00007", str(2**63)), f"the group '{2**63}' is no identity number"),
        (_replace("00001/reference/w_latent", None), r"identity 1, label 'reference' \(row 2\) lacks latents"),
        (
            _replace("00001/reference/embedding", np.zeros((1, 5), "f4")),
            r"identity 1, label 'reference': embedding is .*\[5\]",
        ),
        (
            _replace("00001/reference/embedding", np.zeros((2, 4), "f4")),
            r"embedding has the type float32 and shape \[2, 4\]",
        ),
        (
            _replace("00001/reference/embedding", h5py.Empty("f4")),
            r"embedding has the type float32 and shape \[\]",
        ),
        (_replace("00001/reference/embedding", {}), "not a readable HDF5 file"),
        (lambda file: file.attrs.__setitem__("major", "two"), "the attribute major of / is 'two', which is no int"),
        (
            _replace("00001/reference/w_latent", np.full((1, 8), np.nan, "f4")),
            "identity 1, label 'reference' holds NaN in w_latent",
        ),
        (
            lambda file: file["00001/reference"].attrs.modify("network_type", "eg3d"),
            "identity 1, label 'reference' has the network_type 'eg3d', others 'procedural'",
        ),
    ],
)
def test_each_corruption_has_its_sentence_naming_the_file(published, change, sentence):
    with h5py.File(published, "r+") as file:
        change(file)
    with pytest.raises(BrownidError, match=rf"published\.h5: .*{sentence}"):
        SampleCollection.load(published)
