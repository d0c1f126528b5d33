"""Measuring a packing: the same identities at every stage, down to the rendered images."""

from unittest.mock import create_autospec

import numpy as np
import pandas as pd
import pytest
from tiny_world import NETWORK, SIDE

import measure_packing as job
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards, write_image_shard
from brownid.samples.statistics import save_statistics
from measure_packing import gain_kept, packing_table, separations

COUNT, WIDTH = 6, 16
SETTINGS = {"references": "packed", "network": NETWORK | {"precision": "float32"}}
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
START, TARGETS, REACHED = (RANDOM.normal(size=(COUNT, WIDTH)).astype(np.float32) for _ in range(3))


def collection(path, embeddings, identities, labels=None, recognition="slim", **extra):
    """Save embeddings as a collection, of references unless labels are given; returns the path."""
    SampleCollection(
        latents=None,
        embeddings=embeddings,
        identities=identities,
        labels=labels or ["reference"] * len(embeddings),
        generator="",
        recognition=recognition,
        extra=extra,
    ).save(path)
    return path


@pytest.fixture
def figure(monkeypatch):
    """Stands for the drawing of the figures, which takes longer than all the rest."""
    drawing = create_autospec(job.plot_packing)
    monkeypatch.setattr(job, "plot_packing", drawing)
    monkeypatch.setattr(job, "plot_statistics", create_autospec(job.plot_statistics))
    return drawing


@pytest.fixture
def measure(tmp_path, weights, monkeypatch, figure):
    """A function that runs the job on six identities, of which some were reached, and returns its table."""
    monkeypatch.setattr(job, "BLOCK", 4)
    shards = [tmp_path / "1-of-2.arrow", tmp_path / "2-of-2.arrow"]
    write_image_shard(shards[0], "packed", [4, 0, 2], ["reference"] * 3, PIXELS[[4, 0, 2]])
    labels = ["reference", "augmentation_0", "reference", "reference"]
    write_image_shard(shards[1], "packed", [5, 5, 3, 1], labels, PIXELS[[5, 0, 3, 1]])

    statistics = tmp_path / "stats.h5"
    save_statistics(statistics, {"energy": np.zeros(2)})

    def run(reached=range(COUNT), inverted=True, start_labels=None, start_network="slim", drop=0, **changes):
        reached = list(reached)[::-1]
        extra = {"target_embedding": TARGETS[reached]} if inverted else {}
        begun = np.concatenate([START, REACHED])[: 2 * COUNT - drop]
        # without labels the start is other references, of which there are more than are packed
        numbers = [row % COUNT if start_labels else row for row in range(len(begun))]
        job.measure_packing(
            {**SETTINGS, **changes},
            start=collection(tmp_path / "faces.h5", begun, numbers, start_labels, start_network),
            targets=collection(tmp_path / "targets.h5", TARGETS, range(COUNT)),
            samples=collection(tmp_path / "samples.h5", REACHED[reached], reached, **extra),
            images=shards,
            weights=weights,
            statistics=statistics,
            table=tmp_path / "packing.csv",
            figure=tmp_path / "packing.png",
            iterations=tmp_path / "iterations.png",
        )
        return pd.read_csv(tmp_path / "packing.csv", index_col="measured")

    return run


def unit(rows):
    return rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


def nearest(rows):
    """Nearest-neighbour angles from the whole matrix of cosines."""
    cosines = unit(rows) @ unit(rows).T
    np.fill_diagonal(cosines, -1)
    return np.arccos(cosines.max(axis=1))


def figures(angles):
    return pytest.approx([angles.min(), angles.mean(), angles.max(), len(angles)], abs=2e-5)


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [0, 1, 3, 5]])
def test_all_stages_are_measured_on_the_identities_that_were_reached(measure, weights, kept):
    table = measure(reached=kept)
    images = embed_images(load_network(NETWORK, weights), PIXELS[kept]).numpy()
    stages = {"start": START[kept], "targets": TARGETS[kept], "embeddings reached": REACHED[kept]}
    for name, rows in {**stages, "rendered images": images}.items():
        assert table.loc[f"nearest neighbour, {name}"].tolist() == figures(nearest(rows))
    missed = {
        "latent to target": (REACHED[kept], TARGETS[kept]),
        "image to target": (images, TARGETS[kept]),
        "image to latent's embedding": (images, REACHED[kept]),
    }
    for name, (first, second) in missed.items():
        assert table.loc[name].tolist() == figures(np.arccos((unit(first) * unit(second)).sum(axis=1)))


def test_where_identities_were_rejected_start_and_targets_of_all_are_there_too(measure):
    assert not measure().index.str.contains("rejected").any()
    table = measure(reached=[0, 1, 3, 5])
    for name, rows in {"start": START, "targets": TARGETS}.items():
        assert table.loc[f"nearest neighbour, {name}, rejected identities included"].tolist() == figures(nearest(rows))
    bounds = table["minimum"].filter(like="largest possible")
    assert bounds.tolist() == pytest.approx([np.arccos(-1 / 3), np.arccos(-1 / 5)], abs=1e-6)


def test_nothing_is_said_of_an_inversion_where_the_generator_took_the_embeddings(measure):
    table = measure(inverted=False)
    assert not table.index.str.contains("reached|latent").any()
    assert {"nearest neighbour, rendered images", "image to target"} <= set(table.index)


def test_a_packing_may_begin_with_drawn_faces_or_with_other_references(measure):
    drawn = measure(start_labels=["start"] * COUNT + ["gallery"] * COUNT)
    pd.testing.assert_frame_equal(drawn, measure())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": SETTINGS["network"] | {"image_size": 48}}, "32 pixels wide, but the network reads 48"),
        ({"start_network": "another"}, r"targets.h5 holds .* 'slim', .*faces.h5 .* 'another'"),
        ({"drop": COUNT + 1}, r"faces.h5 has 5 embeddings, but 6 are needed as start"),
        ({"reached": [3]}, "raise its maximum_angle"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(measure, changes, sentence, tmp_path):
    with pytest.raises(BrownidError, match=sentence):
        measure(**changes)
    assert not (tmp_path / "packing.csv").exists()


def test_the_figure_shows_the_angles_of_the_table_and_names_the_share_that_the_images_keep(measure, figure, tmp_path):
    table = measure(reached=[0, 1, 3, 5])
    (angles, bound, path), keywords = figure.call_args
    assert path == tmp_path / "packing.png"
    for name, found in angles.items():
        assert table.loc[f"nearest neighbour, {name}"].tolist() == figures(found)
    assert bound == pytest.approx(table.loc["largest possible smallest angle", "minimum"], abs=1e-6)
    share = table.loc["share of the gain kept, rendered images", "mean"]
    assert keywords["title"] == f"packed: images keep {share:.0%} of the gain"


def test_an_identity_without_an_image_is_named(measure, monkeypatch):
    monkeypatch.setattr(job, "ImageShards", lambda paths: ImageShards(paths[:1]))
    with pytest.raises(BrownidError, match="no reference image of identity 1"):
        measure()


def pair(angle):
    """Two unit vectors at this angle."""
    return np.array([[1, 0], [np.cos(angle), np.sin(angle)]])


def test_the_share_of_the_gain_is_that_between_start_and_targets():
    stages = {"start": pair(0.4), "targets": pair(1.2), "embeddings reached": pair(1.0), "rendered images": pair(0.2)}
    angles = separations(stages)
    assert gain_kept(angles, "embeddings reached") == pytest.approx(dict.fromkeys(["minimum", "mean", "maximum"], 0.75))
    rows = {row["measured"]: row for row in packing_table(stages, angles, {})}
    assert rows["share of the gain kept, rendered images"]["mean"] == pytest.approx(-0.25)
    assert rows["largest possible smallest angle"]["minimum"] == pytest.approx(np.pi)


def test_there_is_no_share_of_a_gain_that_was_none():
    angles = separations({"start": pair(0.4), "targets": pair(0.4), "rendered images": pair(0.3)})
    assert gain_kept(angles, "rendered images") == {}
