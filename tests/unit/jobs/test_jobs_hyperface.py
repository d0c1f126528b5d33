"""From random faces to a packed dataset: the jobs of HyperFace, one after the other."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.benchmark.distances import row_angles, unit_rows
from brownid.errors import BrownidError
from brownid.jobs.embed_faces import embed_faces, load_faces
from brownid.jobs.invert_embeddings import invert_embeddings
from brownid.jobs.merge_variations import merge_variations
from brownid.jobs.pack_hypersphere import pack_hypersphere
from brownid.jobs.vary_references import vary_references
from brownid.samples import SampleCollection
from brownid.samples.statistics import load_statistics

PACKING = {"iterations": 6, "record_every": 2}
INVERSION = {"iterations": 2, "learning_rate": 0.05, "start": "gallery"}


def packing_settings(gallery_size=None, **packing):
    settings = {"seed": 3, "packing": PACKING | packing, "identities": IDENTITIES, "network_name": "slim"}
    return settings | {"gallery_size": gallery_size}


def pack(folder, faces, gallery_size=None, gallery=None, **packing):
    pack_hypersphere(
        packing_settings(gallery_size, **packing),
        start=faces,
        gallery=gallery or faces,
        samples=folder / "targets.h5",
        statistics=folder / "packing.h5",
        command=folder / "packing.yml",
        state=folder / "state",
    )
    return folder / "targets.h5"


def invert(folder, targets, faces, weights, settings=FACE_MODEL, failed=1.0, **inversion):
    invert_embeddings(
        settings | {"inversion": INVERSION | inversion, "maximum_rejected_share": failed},
        targets=targets,
        packing_statistics=targets.with_name("packing.h5"),
        faces=faces,
        weights=weights,
        samples=folder / "samples.h5",
        statistics=folder / "stats.h5",
        command=folder / "command.yml",
        table=folder / "inversion.csv",
        batch_size=4,
        state=folder / "state",
    )
    return SampleCollection.load(folder / "samples.h5")


def vary(folder, references, weights, settings, shard=1, shards=1):
    vary_references(
        settings,
        references=references,
        weights=weights,
        covariates=None,
        shard=shard,
        shards=shards,
        samples=folder / f"{shard}.h5",
        statistics=folder / f"{shard}.stats.h5",
        batch_size=4,
    )
    return SampleCollection.load(folder / f"{shard}.h5")


def conditioned(**settings):
    entry = {"algorithm": "hyperface", "settings": {"variations": 3, "iterations": 1, **settings}}
    return FACE_MODEL | {"variations": entry, "truncation": 0.7}


@pytest.fixture(scope="session")
def faces(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("faces") / "faces.h5"
    settings = FACE_MODEL | {"faces": {"start": IDENTITIES, "gallery": 8}, "truncation": 0.7}
    embed_faces(settings, weights=weights, samples=path, batch_size=4)
    return path


@pytest.fixture(scope="session")
def targets(tmp_path_factory, faces):
    return pack(tmp_path_factory.mktemp("targets"), faces)


@pytest.fixture(scope="session")
def packed(tmp_path_factory, targets, faces, weights):
    folder = tmp_path_factory.mktemp("packed")
    invert(folder, targets, faces, weights)
    return folder / "samples.h5"


def test_the_start_is_that_of_random_references_and_the_gallery_is_of_others(faces, references):
    start, gallery = load_faces(faces, "start"), load_faces(faces, "gallery")
    np.testing.assert_allclose(start.latents, SampleCollection.load(references).latents, atol=1e-6)
    assert len(gallery) == 8 and np.linalg.norm(gallery.latents[:IDENTITIES] - start.latents, axis=1).min() > 0.1


def test_another_collection_serves_as_a_whole(references):
    assert len(load_faces(references, "gallery")) == IDENTITIES
    with pytest.raises(BrownidError, match=r"samples\.h5 has 5 embeddings, but 6 are needed as gallery"):
        load_faces(references, "gallery", count=6)


def test_packing_leaves_nothing_behind_but_embeddings_and_what_made_them(targets):
    collection = SampleCollection.load(targets)
    assert collection.latents is None and collection.recognition == "slim" and len(collection) == IDENTITIES
    np.testing.assert_allclose(np.linalg.norm(collection.embeddings, axis=1), 1, atol=1e-6)
    assert load_statistics(targets.with_name("packing.h5"))["iteration"].tolist() == [0, 2, 4, 6]
    assert not targets.with_name("state").exists()


def test_a_gallery_smaller_than_the_identities_must_be_asked_for(tmp_path, faces, references):
    few = tmp_path / "few.h5"
    SampleCollection.load(references).select([0, 1]).save(few)
    with pytest.raises(BrownidError, match=r"few\.h5 has 2 embeddings, but 5 are needed as gallery.*set gallery_size"):
        pack(tmp_path, faces, gallery=few)
    pack(tmp_path, faces, gallery=few, gallery_size=2)


def test_inversion_writes_the_angle_that_each_identity_reached(packed, targets):
    collection, wanted = SampleCollection.load(packed), SampleCollection.load(targets)
    np.testing.assert_array_equal(collection.extra["target_embedding"], wanted.embeddings)
    reached = row_angles(unit_rows(collection.embeddings), unit_rows(wanted.embeddings))
    np.testing.assert_allclose(collection.extra["target_angle"], reached, atol=2e-3)
    table = pd.read_csv(packed.with_name("inversion.csv"))
    np.testing.assert_allclose(table["angle"], reached, atol=2e-3)
    assert table["kept"].all()


def test_identities_that_are_not_reached_are_left_out_and_listed(tmp_path, packed, targets, faces, weights):
    angles = np.sort(SampleCollection.load(packed).extra["target_angle"])
    limit = float(angles[2:4].mean())
    collection = invert(tmp_path, targets, faces, weights, maximum_angle=limit)
    table = pd.read_csv(tmp_path / "inversion.csv")
    assert len(collection) == 3 and collection.identities.tolist() == table["identity"][table["kept"]].tolist()
    with pytest.raises(BrownidError, match=r"2 of 5 identities were not reached within inversion\.maximum_angle"):
        invert(tmp_path, targets, faces, weights, maximum_angle=limit, failed=0.2)


def test_a_generator_that_paints_embeddings_gets_the_targets_themselves(tmp_path, targets):
    painted = invert(tmp_path, targets, None, targets, settings={"generator_name": "arc2face"})
    assert painted.latents is None and painted.generator == "arc2face"
    np.testing.assert_array_equal(painted.embeddings, SampleCollection.load(targets).embeddings)
    settings = {"seed": 3, "painted": True, "variations": {"settings": {"variations": 2, "embedding_noise": 0.01}}}
    varied = vary(tmp_path, tmp_path / "samples.h5", targets, settings)
    assert varied.latents is None and len(varied) == 2 * IDENTITIES
    turned = row_angles(unit_rows(varied.embeddings), np.repeat(unit_rows(painted.embeddings), 2, axis=0))
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
        inputs=[packed],
        references=packed,
        samples=tmp_path / "samples.h5",
        statistics=tmp_path / "stats.h5",
        command=tmp_path / "command.yml",
    )
    assert SampleCollection.load(tmp_path / "samples.h5").labels == kept.labels
    nearest = float(np.sort(whole.extra["target_angle"].reshape(-1, 3).min(axis=1))[-2:].mean())
    with pytest.raises(BrownidError, match=r"identity \d loses all its images"):
        vary(tmp_path / "lost", packed, weights, conditioned(maximum_angle=nearest))


def test_variations_aim_at_what_was_packed_not_at_what_was_reached(tmp_path, packed, weights):
    moved = SampleCollection.load(packed)
    dataclasses.replace(moved, extra={}).save(tmp_path / "reached.h5")
    own, other = (
        vary(tmp_path / path.stem, path, weights, conditioned(embedding_noise=0.0))
        for path in (packed, tmp_path / "reached.h5")
    )
    assert np.abs(own.latents - other.latents).max() > 1e-4
