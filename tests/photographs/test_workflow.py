"""Photographs of 40 persons through the workflow: indexed, detected, embedded, scored, kept away from, released."""

import csv
import json

import numpy as np
import published
import pytest
import yaml

from brownid.samples.collection import SampleCollection

PHOTOGRAPHS = published.PERSONS * published.PHOTOGRAPHS
DETECTORS = ("yunet", "mtcnn")
MAXIMUM_EER = 0.001
CONFIGURATION = yaml.safe_load((published.HERE / "photographs.yaml").read_text())


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def embeddings(path):
    """Unit rows `[n, 128]` and identities `[n]` of a collection."""
    collection = SampleCollection.load(path, columns=("embeddings",))
    rows = np.asarray(collection.embeddings)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), np.asarray(collection.identities)


def equal_error_rate(genuine, impostor):
    """Where as many genuine pairs are refused as impostor pairs accepted; the larger of both rates."""
    thresholds = np.sort(np.concatenate([genuine, impostor]))
    refused = np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
    accepted = 1 - np.searchsorted(np.sort(impostor), thresholds) / len(impostor)
    return np.maximum(refused, accepted).min()


@pytest.mark.parametrize("name", DETECTORS)
def test_every_photograph_is_detected(run, name):
    assert rows(run / f"results/images/orl_{name}/1-of-1.failures.csv") == []
    assert rows(run / f"results/benchmarks/orl_{name}.arcface_112.failures.csv") == []
    assert rows(run / f"results/embeddings/sface/orl_{name}.failures.csv") == []


@pytest.mark.parametrize("name", DETECTORS)
def test_the_pairs_file_is_scored_almost_without_errors(run, name):
    scores = json.loads((run / "results/scores/evaluation/sface.json").read_text())["benchmarks"][f"orl_{name}"]
    assert scores["genuine"] == scores["impostors"] == 1800
    assert scores["eer"] <= MAXIMUM_EER
    assert scores["accuracy"] >= 0.998


@pytest.mark.parametrize("name", DETECTORS)
def test_all_pairs_of_photographs_are_told_apart_by_their_embeddings(run, name):
    units, persons = embeddings(run / f"results/embeddings/sface/orl_{name}.h5")
    assert units.shape == (PHOTOGRAPHS, 128)
    assert np.bincount(persons).tolist() == [published.PHOTOGRAPHS] * published.PERSONS
    first, second = np.triu_indices(PHOTOGRAPHS, 1)
    cosines, same = (units @ units.T)[first, second], persons[first] == persons[second]
    assert equal_error_rate(cosines[same], cosines[~same]) <= MAXIMUM_EER


def test_references_keep_away_from_the_photographs(run):
    photographs, _ = embeddings(run / "results/embeddings/sface/orl_yunet.h5")
    references, _ = embeddings(run / "results/references/guarded/samples.h5")
    closest = np.arccos(references @ photographs.T).min()
    assert closest > CONFIGURATION["references"]["guarded"]["settings"]["fixed_distance"]
    listed = rows(run / "results/tables/leaks/guarded.csv")
    assert float(listed[0]["angle"]) == pytest.approx(closest, abs=1e-3)


def test_the_release_is_verified(run, brownid):
    brownid("verify", run / "results/release/photographs")
