"""A collection refuses what cannot be true, and its rows stay together through selection and joining."""

import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection


def test_selecting_identities_keeps_rows_together_and_in_order(collection):
    chosen = collection.select([7, 0])
    assert chosen.identities.tolist() == [0, 0, 7, 7]
    np.testing.assert_array_equal(chosen.latents, collection.latents[[0, 1, 4, 5]])
    np.testing.assert_array_equal(chosen.embeddings, collection.embeddings[[0, 1, 4, 5]])


def test_of_label_gives_one_row_an_identity(collection):
    references = collection.of_label("reference")
    assert references.identities.tolist() == [0, 1, 7]
    assert set(references.labels) == {"reference"}


def test_unknown_identities_and_labels_are_named(collection):
    with pytest.raises(BrownidError, match="no identity 5"):
        collection.select([0, 5])
    with pytest.raises(BrownidError, match=r"no label 'refrence'.*augmentation_0"):
        collection.of_label("refrence")


def test_concatenating_the_labels_gives_all_rows(collection):
    joined = SampleCollection.concatenate([collection.of_label("reference"), collection.of_label("augmentation_0")])
    assert joined.identities.tolist() == [0, 1, 7, 0, 1, 7]
    np.testing.assert_array_equal(joined.latents, collection.latents[[0, 2, 4, 1, 3, 5]])


def test_concatenating_other_generators_or_networks_is_refused(make_collection):
    with pytest.raises(BrownidError, match=r"collection 2 has the generator 'stylegan2'.*'procedural'"):
        SampleCollection.concatenate([make_collection(), make_collection(generator="stylegan2")])
    with pytest.raises(BrownidError, match="recognition 'arcface'"):
        SampleCollection.concatenate([make_collection(), make_collection(recognition="arcface")])


def test_concatenating_other_columns_is_refused(make_collection):
    with pytest.raises(BrownidError, match=r"has the columns embeddings \[4\], the ones before it latents \[8\]"):
        SampleCollection.concatenate([make_collection(), make_collection(latents=None)])


def test_concatenating_the_same_sample_twice_names_it(collection):
    with pytest.raises(BrownidError, match="identity 1, label 'reference' occurs more than once"):
        SampleCollection.concatenate([collection, collection.select([1])])


def test_settings_survive_joining_where_all_agree(make_collection):
    first, second = (
        make_collection(settings={"a": 1}),
        make_collection(identities=[2, 2, 3, 3, 4, 4], settings={"a": 1}),
    )
    assert SampleCollection.concatenate([first, second]).settings == {"a": 1}
    other = make_collection(identities=[2, 2, 3, 3, 4, 4], settings={"a": 2})
    assert SampleCollection.concatenate([first, other]).settings == {}


def test_tensors_serve_as_columns(make_collection):
    made = make_collection(latents=torch.ones(6, 8, requires_grad=True), identities=torch.tensor([0, 0, 1, 1, 2, 2]))
    assert isinstance(made.latents, np.ndarray) and made.identities.dtype == np.int64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["latents", "embeddings"])
def test_numbers_that_are_not_finite_are_named(make_collection, collection, name, bad):
    values = getattr(collection, name).copy()
    values[3, 2] = bad
    with pytest.raises(BrownidError, match=rf"{name} of identity 1, label 'augmentation_0' \(row 3\) holds NaN"):
        make_collection(**{name: values})


def test_a_row_of_an_extra_column_is_absent_as_a_whole_or_finite(make_collection):
    values = np.zeros((6, 3))
    values[2] = np.nan
    assert np.isnan(make_collection(extra={"z_latent": values}).extra["z_latent"][2]).all()
    values[2, 0] = 1
    with pytest.raises(BrownidError, match="z_latent of identity 1"):
        make_collection(extra={"z_latent": values})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latents": np.zeros((5, 8))}, "latents has 5 rows, but there are 6 identities"),
        ({"labels": ["a"] * 5}, "labels has 5 rows, but there are 6"),
        ({"latents": np.zeros(6)}, r"latents must have the shape \[n, dimension\], not \[6\]"),
        ({"identities": [0.5] * 6}, "identities must be whole numbers"),
        ({"identities": ["0", "0", "1", "1", "2", "2"]}, "identities must be whole numbers, not '0'"),
        ({"identities": [[0, 0, 1, 1, 2, 2]]}, "identities must be whole numbers"),
        ({"identities": 5}, r"identities must be whole numbers \[n\], not 5"),
        ({"identities": [True] * 6}, "identities must be whole numbers, not True"),
        ({"identities": [2**70] * 6}, f"identities must be whole numbers of at most {2**63 - 1}, not {2**70}"),
        ({"identities": np.full(6, 2**63, np.uint64)}, f"identities must be .* not {2**63}"),
        ({"embeddings": np.ones((6, 4), complex)}, "embeddings must be real numbers, not complex128"),
        ({"latents": [["a"]] * 6}, "latents must be real numbers, not <U1"),
        ({"identities": [0, 0, 1, 1, -2, -2]}, "identity -2 is negative"),
        ({"labels": ["reference", "reference"] * 3}, "identity 0, label 'reference' occurs more than once"),
        ({"labels": ["", "b"] * 3}, "labels of samples must not be empty"),
        ({"labels": ["a\0b", "b"] * 3}, r"the label 'a\\x00b' holds the character NUL"),
        ({"labels": [1, 2] * 3}, "labels of samples must be text"),
        ({"extra": {"c_label": np.float32(1)}}, "extra column c_label is a single value"),
        ({"extra": {"latents": np.zeros((6, 1))}}, "extra column cannot be called 'latents'"),
    ],
)
def test_each_broken_rule_has_its_sentence(make_collection, changes, sentence):
    with pytest.raises(BrownidError, match=sentence):
        make_collection(**changes)


def test_an_empty_collection_is_a_collection(collection, tmp_path, assert_same):
    empty = collection.rows([])
    empty.save(tmp_path / "empty.h5")
    assert_same(SampleCollection.load(tmp_path / "empty.h5"), empty)
