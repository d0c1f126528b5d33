"""Variations by noise on the embedding: each at its own target, those that miss it left out, the rest merged."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from packed_jobs import conditioned, invert, spied, std_of_random_faces, vary
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.embeddings.distances import row_angles, unit_rows
from brownid.facemodel.loading import load_face_model, random_latents
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import image_items, normal
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics
from merge_variations import merge_variations


def test_an_embedding_conditioned_generator_gets_the_targets_themselves(tmp_path, targets):
    references = invert(tmp_path, targets, None, targets, settings={"generator_name": "arc2face"})
    assert references.latents is None and references.generator == "arc2face"
    np.testing.assert_array_equal(references.embeddings, SampleCollection.load(targets).embeddings)
    settings = {
        "seed": 3,
        "embedding_conditioned": True,
        "variations": {"settings": {"variations": 2, "embedding_noise": 0.01}},
    }
    varied = vary(tmp_path, tmp_path / "samples.h5", targets, settings)
    assert varied.latents is None and len(varied) == 2 * IDENTITIES
    turned = row_angles(unit_rows(varied.embeddings), np.repeat(unit_rows(references.embeddings), 2, axis=0))
    assert turned.min() > 0.01 and turned.max() < 0.1  # about 0.01 √16


def test_variations_do_not_depend_on_the_shards(tmp_path, packed, weights):
    whole = vary(tmp_path / "whole", packed, weights, conditioned())
    parts = [vary(tmp_path / "parts", packed, weights, conditioned(), shard, 2) for shard in (1, 2)]
    together = SampleCollection.concatenate(parts)
    assert together.labels == whole.labels == ["augmentation_0", "augmentation_1", "augmentation_2"] * IDENTITIES
    np.testing.assert_allclose(together.latents, whole.latents, atol=1e-4)


def test_images_that_miss_what_they_aim_at_are_left_out_and_the_rest_is_merged(tmp_path, packed, weights):
    whole = vary(tmp_path / "whole", packed, weights, conditioned())
    farthest = np.sort(whole.extra["target_angle"])[-2:]
    settings = conditioned(maximum_angle=float(farthest.mean()))
    kept = vary(tmp_path / "kept", packed, weights, settings)
    assert len(kept) == 3 * IDENTITIES - 1
    merge_variations(
        settings,
        shard_samples=[tmp_path / "kept/1.h5"],
        shard_statistics=[tmp_path / "kept/1.stats.h5"],
        references=packed,
        weights=weights,
        covariates=None,
        generator=[],
        samples=tmp_path / "samples.h5",
        statistics=tmp_path / "stats.h5",
        command=tmp_path / "command.yml",
    )
    assert SampleCollection.load(tmp_path / "samples.h5").labels == kept.labels
    nearest = float(np.sort(whole.extra["target_angle"].reshape(-1, 3).min(axis=1))[-2:].mean())
    with pytest.raises(BrownidError, match=r"Identity \d loses all its images"):
        vary(tmp_path / "lost", packed, weights, conditioned(maximum_angle=nearest))


def test_variations_aim_at_what_was_packed_not_at_what_was_reached(tmp_path, packed, weights):
    moved = SampleCollection.load(packed)
    dataclasses.replace(moved, extra={}).save(tmp_path / "reached.h5")
    own, other = (
        vary(tmp_path / path.stem, path, weights, conditioned(embedding_noise=0.0))
        for path in (packed, tmp_path / "reached.h5")
    )
    assert np.abs(own.latents - other.latents).max() > 1e-4


def test_references_of_embeddings_are_all_kept_and_their_variations_do_not_depend_on_the_shards(tmp_path, targets):
    invert(tmp_path, targets, None, targets, settings={"generator_name": "arc2face"})
    table = pd.read_csv(tmp_path / "inversion.csv")
    assert table["kept"].all() and table["angle"].isna().all() and len(table) == IDENTITIES
    settings = {
        "seed": 3,
        "embedding_conditioned": True,
        "variations": {"settings": {"variations": 2, "embedding_noise": 0.1}},
    }
    whole = vary(tmp_path / "whole", tmp_path / "samples.h5", targets, settings)
    parts = [vary(tmp_path, tmp_path / "samples.h5", targets, settings, shard, 2) for shard in (1, 2)]
    np.testing.assert_allclose(SampleCollection.concatenate(parts).embeddings, whole.embeddings, atol=1e-6)
    turned = row_angles(
        unit_rows(whole.embeddings), unit_rows(np.repeat(SampleCollection.load(targets).embeddings, 2, axis=0))
    )
    statistics = load_statistics(tmp_path / "whole/1.stats.h5")
    assert statistics["refd_avg"] == pytest.approx(turned.mean(), abs=2e-3)


def test_each_image_aims_at_its_own_noisy_target_from_its_own_random_face(packed, weights, tmp_path, monkeypatch):
    given = spied(monkeypatch, "brownid.hyperface.variations.invert")
    vary(tmp_path, packed, weights, conditioned(embedding_noise=0.3, start_interpolation=0.25))
    references, people = SampleCollection.load(packed), range(IDENTITIES)
    noise = normal(3, "hyperface/conditioning", people, (3, 16)).numpy()
    aims = unit_rows(references.extra["target_embedding"])[:, None] + 0.3 * noise
    np.testing.assert_allclose(given["targets"].cpu(), unit_rows(aims.reshape(-1, 16)), atol=1e-6)
    generator = load_face_model(FACE_MODEL, weights).generator
    drawn = random_latents(generator, people, 0.7, 3, purpose="hyperface/variations", count=3).cpu().numpy()
    starts = 0.75 * np.repeat(references.latents, 3, axis=0) + 0.25 * drawn
    np.testing.assert_allclose(given["starts"].cpu(), starts, atol=1e-5)
    labels = ["augmentation_0", "augmentation_1", "augmentation_2"] * IDENTITIES
    assert list(given["items"]) == image_items(np.repeat(people, 3), labels)
    assert given["latent_std"] == pytest.approx(std_of_random_faces(weights), rel=1e-5)


def test_the_images_that_are_kept_keep_their_own_label_and_angle(tmp_path, packed, weights):
    whole = vary(tmp_path / "whole", packed, weights, conditioned())
    angles = whole.extra["target_angle"]
    limit = float(np.sort(angles)[-2:].mean())
    kept = vary(tmp_path / "kept", packed, weights, conditioned(maximum_angle=limit))
    wanted = whole.rows(np.flatnonzero(angles < limit))
    assert kept.labels == wanted.labels and kept.identities.tolist() == wanted.identities.tolist()
    for name, values in wanted.columns().items():
        np.testing.assert_allclose(kept.columns()[name], values, atol=1e-4, err_msg=name)


def test_more_shards_than_identities_that_are_left_are_refused(tmp_path, packed, weights):
    with pytest.raises(BrownidError, match="has 5 identities, too few for 6 shards"):
        vary(tmp_path, packed, weights, conditioned(), 1, 6)
