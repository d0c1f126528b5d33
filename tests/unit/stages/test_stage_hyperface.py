"""From random faces to packed references: the jobs of HyperFace, one after the other."""

import dataclasses
import pkgutil

import numpy as np
import pandas as pd
import pytest
import torch
from packed_jobs import PACKING, invert, pack, spied, std_of_random_faces, whole
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.embeddings.distances import row_angles, unit_rows
from brownid.facemodel.loading import load_face_model, random_latents
from brownid.hyperface.inversion import load_faces
from brownid.hyperface.packing import pack as pack_embeddings
from brownid.hyperface.settings import PackingSettings
from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics
from embed_faces import embed_faces


def test_the_start_is_that_of_random_references_and_the_gallery_is_of_others(faces, references):
    start, gallery = whole(faces, "start"), whole(faces, "gallery")
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


def test_the_gallery_is_of_the_entrys_truncation_and_does_not_depend_on_blocks(tmp_path, faces, weights, monkeypatch):
    gallery = whole(faces, "gallery")
    drawn = random_latents(
        load_face_model(FACE_MODEL, weights).generator, range(8), 0.7, 3, purpose="hyperface/gallery"
    )
    np.testing.assert_allclose(gallery.latents, drawn.cpu(), atol=1e-6)
    monkeypatch.setattr("brownid.hyperface.inversion.BLOCK", 3)
    settings = FACE_MODEL | {"faces": {"start": IDENTITIES, "gallery": 8}, "truncation": 0.7}
    embed_faces(settings, weights=weights, samples=tmp_path / "faces.h5", batch_size=4)
    np.testing.assert_allclose(whole(tmp_path / "faces.h5", "gallery").latents, gallery.latents, atol=1e-6)


def test_the_packing_is_of_the_start_faces_near_as_many_of_the_gallery_as_asked_for(tmp_path, faces):
    start, gallery = (torch.from_numpy(load_faces(faces, label).embeddings) for label in ("start", "gallery"))
    for size in (None, 6):
        found = SampleCollection.load(pack(tmp_path, faces, size, gallery_coefficient=2.0, learning_rate=0.1))
        settings = PackingSettings(**PACKING, gallery_coefficient=2.0, learning_rate=0.1)
        wanted = pack_embeddings(start, gallery[:size], settings, seed=3)
        np.testing.assert_allclose(found.embeddings, wanted.references, atol=1e-5)


def test_inversion_starts_at_the_nearest_gallery_faces_and_is_told_the_spread_of_random_ones(
    tmp_path, targets, faces, weights, monkeypatch
):
    given = spied(monkeypatch, "brownid.hyperface.inversion.invert")
    invert(tmp_path, targets, faces, weights, iterations=0)
    gallery, wanted = whole(faces, "gallery"), SampleCollection.load(targets).embeddings
    nearest = (unit_rows(wanted) @ unit_rows(gallery.embeddings).T).argmax(axis=1)
    np.testing.assert_array_equal(given["starts"][:, 0].cpu(), gallery.latents[nearest])
    assert given["latent_std"] == pytest.approx(std_of_random_faces(weights), rel=1e-5)


def test_what_is_kept_of_an_inversion_is_what_was_found_for_these_identities(tmp_path, packed, targets, faces, weights):
    whole = SampleCollection.load(packed)
    angles = whole.extra["target_angle"]
    limit = float(np.sort(angles)[2:4].mean())
    kept = np.flatnonzero(angles < limit)
    assert kept.tolist() != [0, 1, 2]
    few, wanted = invert(tmp_path, targets, faces, weights, maximum_angle=limit, failed=0.4), whole.rows(kept)
    for name, values in wanted.columns().items():
        np.testing.assert_array_equal(few.columns()[name], values, err_msg=name)


class InterruptionError(Exception):
    pass


def interrupted(monkeypatch, step, work, call=3):
    """Let `work()` be interrupted in a given call of the function `step`, and what it saved stay where it is."""
    calls, whole = [], pkgutil.resolve_name(step)

    def failing(*arguments, **named):
        calls.append(1)
        if len(calls) == call:
            raise InterruptionError
        return whole(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(step, failing)
        with pytest.raises(InterruptionError):
            work()


STOPS = {
    "in its first block": ("brownid.hyperface.packing.SphereOptimizer.block", 1),
    "in its last block": ("brownid.hyperface.packing.SphereOptimizer.block", 3),
    "before its last record": ("brownid.hyperface.packing.SphereOptimizer.record", 1),
    "before any output": ("brownid.samples.collection.SampleCollection.save", 1),
    "between two outputs": ("pack_references.save_statistics", 1),
    "before the record of its settings": ("pack_references.write_command", 1),
}


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("stop", STOPS)
def test_every_output_of_a_resumed_packing_has_the_bits_of_an_undisturbed_one(
    tmp_path, faces, monkeypatch, stop, batch
):
    step, call = STOPS[stop]
    calm, stopped = tmp_path / "calm", tmp_path / "stopped"
    pack(calm, faces, batch=batch)
    interrupted(monkeypatch, step, lambda: pack(stopped, faces, batch=batch), call)
    pack(stopped, faces, batch=batch)
    for name in ("targets.h5", "packing.h5", "packing.yml"):
        assert (stopped / name).read_bytes() == (calm / name).read_bytes(), name
    assert not (stopped / "state").exists()


def test_an_interrupted_packing_begins_anew_with_another_gallery(tmp_path, faces, references, monkeypatch):
    interrupted(monkeypatch, "brownid.hyperface.packing.SphereOptimizer.block", lambda: pack(tmp_path, faces))
    assert list((tmp_path / "state").iterdir())
    anew = SampleCollection.load(pack(tmp_path, faces, gallery=references))
    fresh = SampleCollection.load(pack(tmp_path, faces, gallery=references))
    np.testing.assert_array_equal(anew.embeddings, fresh.embeddings)


def test_an_interrupted_inversion_begins_anew_with_another_network(tmp_path, targets, faces, weights, monkeypatch):
    torch.manual_seed(2)
    other = tmp_path / "other.safetensors"
    save_backbone(other, backbone("slim", "slim_iresnet", FACE_MODEL["network"]["image_size"], 16))

    def run(weights):
        return invert(tmp_path, targets, faces, weights, iterations=4)

    interrupted(monkeypatch, "brownid.hyperface.inversion._iterate", lambda: run(weights))
    assert list((tmp_path / "state").iterdir())
    anew = run(other)
    np.testing.assert_array_equal(anew.latents, run(other).latents)


def test_raising_the_limit_goes_on_from_where_the_descent_ended(tmp_path, packed, targets, faces, weights, caplog):
    limit = float(np.median(SampleCollection.load(packed).extra["target_angle"]))
    with pytest.raises(BrownidError, match=r"half come within \d\.\d+, all within \d\.\d+ radians"):
        invert(tmp_path, targets, faces, weights, failed=0.0, maximum_angle=limit)
    with caplog.at_level("INFO"):
        invert(tmp_path, targets, faces, weights, failed=0.0, maximum_angle=3.0)
    assert "going on from iteration 2" in caplog.text and "not going on" not in caplog.text


def test_embeddings_of_another_network_are_not_packed(tmp_path, faces):
    other = dataclasses.replace(SampleCollection.load(faces), recognition="other")
    other.save(tmp_path / "other.h5")
    with pytest.raises(BrownidError, match=r"other\.h5: these are embeddings of 'other', the packing is of 'slim'"):
        pack(tmp_path, tmp_path / "other.h5")
