"""Ground-truth controls: what is compared with what."""

import pandas as pd
from tiny_world import FACE_MODEL

from measure_controls import measure_controls

ENTRY = {key: value for key, value in FACE_MODEL.items() if key != "seed"}
FIGURES = ("minimum", "mean", "maximum")


def test_references_are_compared_with_their_start_and_unmoved_ones_with_nothing(
    tmp_path, sample, references, weights, covariates
):
    sample(tmp_path, "langevin", {"iterations": 1, "random_force": 0.0}, start=references)
    # another truncation: had the random draw been taken for the start, `before` would differ from `drawn`
    settings = {
        "seed": FACE_MODEL["seed"],
        "datasets": ["drawn", "moved"],
        "networks": ["slim"],
        "references": {
            "drawn": ENTRY | {"start": None, "truncation": 0.7},
            "moved": ENTRY | {"start": "drawn", "truncation": 0.1},
        },
        "variations": {},
        "covariates": {"directions": FACE_MODEL["generator"]},
    }
    measure_controls(
        settings,
        samples=[references, tmp_path / "samples.h5"],
        covariates=[covariates],
        within_class=[],
        weights=[weights],
        table=tmp_path / "controls.csv",
    )
    table = pd.read_csv(tmp_path / "controls.csv").set_index(["entry", "measured"])["value"]
    assert table.index.is_unique
    assert set(table["drawn"].index) == {
        f"{kind}, {figure}" for kind in ("as rendered", "neutral") for figure in FIGURES
    }
    assert len(table["moved"]) == 12
    for figure in FIGURES:
        assert table["moved", f"before, as rendered, {figure}"] == table["drawn", f"as rendered, {figure}"]
    assert len(table["directions"]) == 7


def test_a_projected_entry_is_compared_with_its_projected_start(tmp_path, sample, references, weights, within_class):
    projection = {"covariates": "directions", "directions": 3}
    sample(tmp_path / "drawn", "random", {}, within_class=within_class, projection={"directions": 3})
    sample(
        tmp_path / "moved",
        "langevin",
        {"iterations": 1},
        start=references,
        within_class=within_class,
        projection={"directions": 3},
    )
    entry = ENTRY | {"start": None, "truncation": 0.7, "nuisance_projection": projection}
    settings = {
        "seed": FACE_MODEL["seed"],
        "datasets": ["drawn", "free", "moved"],
        "networks": ["slim"],
        "references": {"drawn": entry, "moved": entry | {"start": "free", "truncation": 0.1}},
        "variations": {},
        "covariates": {},
        "within_class": ["directions"],
    }
    files = [tmp_path / "drawn/samples.h5", references, tmp_path / "moved/samples.h5"]
    table_of = tmp_path / "controls.csv"
    measure_controls(
        settings, samples=files, covariates=[], within_class=[within_class], weights=[weights], table=table_of
    )
    table = pd.read_csv(table_of).set_index(["entry", "measured"])["value"]
    assert len(table["drawn"]) == 6  # it did not move from its projected draw
    for figure in FIGURES:
        assert table["moved", f"before, as rendered, {figure}"] == table["drawn", f"as rendered, {figure}"]
