"""The quality of datasets from embeddings to the table, and which identities the sheets of faces show."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.collection import REFERENCE, SampleCollection, variation_label
from brownid.samples.images import write_image_shard
from measure_quality import measure_quality
from show_faces import show_faces
from tabulate_quality import tabulate_quality

SETTINGS = {"judge": "net", "genuine": "people", "near_duplicate_angle": 0.2, "compared": ["varied"]}
RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.standard_normal((12, 16))


def collection(path, identities, labels, spread):
    rows = CENTRES[identities] + spread * RANDOM.standard_normal((len(identities), 16))
    SampleCollection(None, rows, identities, labels, generator="", recognition="net").save(path)
    return path


@pytest.fixture
def embeddings(tmp_path):
    """Files by dataset: references, variations of these and of one more identity, and genuine images."""
    varied = np.repeat(np.arange(7), 4)
    return {
        "moved": collection(tmp_path / "moved.h5", np.arange(6), [REFERENCE] * 6, 0.1),
        "varied": collection(tmp_path / "varied.h5", varied, [variation_label(n % 4) for n in range(28)], 0.1),
        "people": collection(tmp_path / "people.h5", np.repeat(np.arange(12), 3), [f"k{n}" for n in range(36)], 0.4),
        "portraits": collection(tmp_path / "portraits.h5", np.arange(12), [f"p{n}" for n in range(12)], 0.1),
    }


@pytest.fixture
def measure(tmp_path, embeddings):
    """A function that measures datasets together and returns the file of their quality and that of their identities."""

    def run(*names):
        outputs = tmp_path / f"{names[-1]}.json", tmp_path / f"{names[-1]}.csv"
        measure_quality(
            {"dataset": names[-1], "near_duplicate_angle": 0.2},
            embeddings=[embeddings[name] for name in names],
            guarded=embeddings["portraits"] if "moved" in names else None,
            quality=outputs[0],
            identities=outputs[1],
        )
        return outputs

    return run


def tabulate(tmp_path, datasets, measured, controls=None):
    outputs = {name: tmp_path / f"quality.{name}" for name in ("table", "page", "figure")}
    distances = {"distance_figures": [tmp_path / "angles.png"], "distance_tables": [tmp_path / "angles.csv"]}
    tabulate_quality({**SETTINGS, "datasets": datasets}, measured=measured, controls=controls, **outputs, **distances)
    return outputs


def test_the_table_has_a_row_per_dataset_and_compares_with_genuine_images(tmp_path, measure):
    measured = [measure("moved")[0], measure("moved", "varied")[0], measure("people")[0]]
    outputs = tabulate(tmp_path, ["moved", "varied", "people"], measured)
    table = pd.read_csv(outputs["table"], index_col="dataset")
    assert table.index.tolist() == ["moved", "varied", "people"]
    assert table["images"].tolist() == [6, 6 + 24, 36], "variations without a reference are left out"
    assert table.loc["people", ["wasserstein", "median_ratio"]].tolist() == [0, 1]
    assert 0 < table.loc["varied", "median_ratio"] < 1 and table.loc["varied", "wasserstein"] > 0
    assert table.loc["moved", ["identity_consistency", "diversity", "wasserstein"]].isna().all()
    assert table["leak_minimum"].notna().tolist() == [True, True, False]
    page = outputs["page"].read_text()
    assert "identity consistency" in page and "network that steered no dataset" in page and "people" in page
    angles = pd.read_csv(tmp_path / "angles.csv")
    assert angles["dataset"].tolist() == ["varied", "people"] * 2
    assert angles["angles"].tolist() == ["genuine"] * 2 + ["nearest_impostor"] * 2
    assert (tmp_path / "angles.png").exists() and outputs["figure"].exists()


def test_the_truth_of_the_embedded_world_joins_the_table(tmp_path, measure):
    (tmp_path / "controls.csv").write_text(
        "entry,control,measured,value\n"
        'varied,angle to the reference,"noise, mean",0.9\n'
        "varied,true nuisance within an identity,all,0.3\n"
        "varied,true nuisance within an identity,pose,0.5\n"
        "varied,true identity drift,root mean square,0.2\n"
    )
    measured = [measure("moved", "varied")[0], measure("people")[0]]
    outputs = tabulate(tmp_path, ["varied", "people"], measured, tmp_path / "controls.csv")
    truth = pd.read_csv(outputs["table"], index_col="dataset").iloc[:, -3:]
    assert truth.columns.tolist() == ["nuisance_std_all", "nuisance_std_pose", "identity_drift"]
    assert truth.loc["varied"].tolist() == [0.3, 0.5, 0.2] and truth.loc["people"].isna().all()
    assert "nuisance std pose" in outputs["page"].read_text()


def test_a_genuine_database_without_genuine_pairs_is_refused(tmp_path, measure):
    measured = [measure("moved", "varied")[0], measure("portraits")[0]]
    with pytest.raises(BrownidError, match=r"quality.genuine is 'people', in which no identity has two images"):
        tabulate(tmp_path, ["varied", "people"], measured)


def test_the_table_of_identities_has_the_mean_angle_of_each_to_its_reference(measure):
    quality, identities = measure("moved", "varied")
    rows = pd.read_csv(identities)
    assert rows["identity"].tolist() == list(range(6)) and (rows["images"] == 5).all()
    assert rows["reference_angle"].between(0, 1).all() and rows["consistency"].between(0, 1).all()
    assert json.loads(quality.read_text())["figures"]["identity_consistency"] == pytest.approx(rows.consistency.mean())


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A function that makes a sheet of 20 identities and returns what is drawn: shades are the identities' numbers."""

    def run(images_each, angles=None):
        identities = np.repeat(np.arange(20), images_each)
        labels = ([REFERENCE] + [variation_label(n) for n in range(images_each - 1)]) * 20
        pixels = np.broadcast_to(identities[:, None, None, None], (len(identities), 4, 4, 3)).astype(np.uint8)
        write_image_shard(tmp_path / "faces.arrow", "faces", identities, labels, pixels)
        table = None
        if angles is not None:
            table = tmp_path / "identities.csv"
            with open(table, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(
                    [("identity", "reference_angle", "nearest_impostor"), *((n, a, a) for n, a in enumerate(angles))]
                )
        drawn = {}
        monkeypatch.setattr("show_faces.image_grid", lambda cells, figure, **more: drawn.update(cells=cells, **more))
        show_faces({"dataset": "faces"}, images=[tmp_path / "faces.arrow"], identities=table, figure=tmp_path / "a.png")
        return [int(row[0].max()) for row in drawn["cells"]], drawn

    return run


def test_a_sheet_shows_the_most_and_the_least_consistent_identities(shown):
    angles = [0.01 * ((7 * number) % 20) for number in range(20)]
    angles[3] = ""  # none of its variations could be embedded
    rows, drawn = shown(3, angles)
    order = [number for number in sorted(range(20), key=lambda n: (7 * n) % 20) if number != 3]
    assert rows == order[:4] + order[-4:]
    assert [heading.split(":")[0] for heading in drawn["headings"].values()] == [
        "Most consistent identities",
        "Least consistent identities",
    ]
    assert list(drawn["headings"]) == [0, 4] and drawn["row_labels"][0] == "00000  0.00"


def test_of_few_identities_none_is_shown_twice(shown):
    rows, drawn = shown(3, [0.1, 0.2, 0.3])
    assert rows == [0, 1, 2] and list(drawn["headings"]) == [0, 2]


def test_a_sheet_of_references_shows_the_closest_and_the_most_separate_ones(shown):
    rows, drawn = shown(1, [0.1 * number for number in range(20)])
    assert [heading.split(":")[0] for heading in drawn["headings"].values()] == [
        "Closest identities",
        "Most separate identities",
    ]
    assert drawn["captions"][0][:2] == ["00000  0.00", "00001  0.10"] and rows[0] == 0


def test_without_a_judge_a_sheet_shows_an_even_sample_and_says_so(shown):
    rows, drawn = shown(3)
    assert rows == [0, 3, 5, 8, 11, 14, 16, 19]
    assert drawn["headings"] == {0: "An even sample of 8 of 20 identities"}
