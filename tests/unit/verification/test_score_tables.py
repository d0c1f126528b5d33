"""The tables and figures of scores, from the files of four networks."""

import json

import numpy as np
import pandas as pd
import pytest

from brownid.verification.pair_scores import PairScores, write_pair_scores
from brownid.verification.score import score_pairs
from compare_scores import compare_scores
from tabulate_scores import tabulate_scores

ENTRIES = {"strong": ["strong/seed_1", "strong/seed_2"], "weak": ["weak/seed_1", "weak/seed_2"], "given": ["given"]}
SETTINGS = {
    "entries": ENTRIES,
    "group": "evaluation",
    "benchmarks": ["lfw", "own"],
    "seed": 1,
    "resamples": 100,
    "confidence": 0.95,
}


def similarities(margin, seed, pairs=200):
    """Persons, labels and similarities: of a genuine pair `margin` above those of impostors on average."""
    random = np.random.default_rng(seed)
    first = np.arange(pairs) % 40
    second = np.where(np.arange(pairs) % 2 == 0, first, (first + 1 + np.arange(pairs) // 40) % 40)
    same = first == second
    noise = random.normal(0, 0.15, pairs)
    return np.stack([first, second], axis=1), same, np.clip(margin * same + noise, -1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The score files and the pair scores of all networks; the benchmark `own` is sorted by label."""
    folder = tmp_path_factory.mktemp("scores")
    margins = {"strong": 0.6, "weak": 0.3, "given": 0.5}
    scores, pairs = [], []
    named = [(entry, network) for entry, networks in ENTRIES.items() for network in networks]
    for number, (entry, network) in enumerate(named):
        rows, scored = {}, {}
        for place, benchmark in enumerate(SETTINGS["benchmarks"]):
            persons, same, similarity = similarities(margins[entry], 10 * number + place)
            order = np.argsort(same, kind="stable") if benchmark == "own" else np.arange(len(same))
            persons, same, similarity = persons[order], same[order], similarity[order]
            second = np.stack([similarity, np.sqrt(1 - similarity.astype(float) ** 2)], axis=1)
            rows[benchmark] = score_pairs(np.tile([1.0, 0.0], (len(same), 1)), second, same, [0.001, 0.1])
            scored[benchmark] = PairScores(persons, same, similarity)
        scores.append(folder / f"{number}.json")
        scores[-1].write_text(json.dumps({"model": network, "benchmarks": rows}))
        pairs.append(folder / f"{number}.pairs.parquet")
        write_pair_scores(pairs[-1], scored, {})
    return {"scores": scores, "pairs": pairs}


@pytest.fixture(scope="module")
def tables(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    names = {"table": "csv", "accuracies": "csv", "error_rates": "csv", "text": "md", "page": "html"}
    names |= {"chart": "png", "roc": "png", "det": "png"}
    made = {name: folder / f"{name}.{suffix}" for name, suffix in names.items()}
    tabulate_scores(SETTINGS, **files, **made)
    return made


def test_there_is_a_row_for_each_network_and_benchmark(tables):
    rows = pd.read_csv(tables["table"])
    assert len(rows) == 5 * 2 and set(rows.entry) == set(ENTRIES)
    assert rows[rows.network == "given"].benchmark.tolist() == ["lfw", "own"]
    assert rows["fnmr_at_fmr_0.001"].isna().all()
    assert rows.rate_note[0] == "FNMR at FMR 0.001 on lfw: needs 1000 impostor pairs, there are 100."
    np.testing.assert_allclose(rows["fnmr_at_fmr_0.1"], 1 - rows["tar_at_far_0.1"], atol=1e-6)
    assert rows.d_prime.between(1, 6).all()


def test_an_entry_has_the_mean_of_its_networks_and_an_interval_around_it(tables):
    rows, networks = pd.read_csv(tables["accuracies"]), pd.read_csv(tables["table"])
    for _, row in rows.iterrows():
        of_entry = networks[networks.entry == row.entry]
        chosen = of_entry if row.benchmark == "mean" else of_entry[of_entry.benchmark == row.benchmark]
        assert row.accuracy == pytest.approx(chosen.accuracy.mean(), abs=1e-6)
        assert row.low < row.accuracy < row.high
        assert (row.interval_over == "persons") == (row.entry == "given") == np.isnan(row["std"])


def test_the_best_entry_is_the_last_row_and_a_benchmark_that_needs_it_has_its_stratified_accuracy(tables):
    lines = tables["text"].read_text().splitlines()
    assert lines[0] == "**Accuracy on the evaluation benchmarks**"
    assert lines[2] == "| entry | networks | LFW | own | own (stratified) | mean | 95 % interval |"
    assert [line.split()[1] for line in lines[4:7]] == ["weak", "given", "strong"]
    assert lines[5].endswith("* |") and "±" not in lines[5] and lines[6].count("±") == 4
    assert any(line.startswith("- own: the share of genuine pairs") for line in lines)
    page = tables["page"].read_text()
    assert page.count("<table") == 2 and "FNMR at FMR 0.1 %" in page and "needs 1000 impostor pairs" in page


def test_error_rates_of_an_entry_are_means(tables):
    rates, networks = pd.read_csv(tables["error_rates"]), pd.read_csv(tables["table"])
    row = rates[(rates.entry == "weak") & (rates.benchmark == "mean")]
    chosen = networks[networks.entry == "weak"]
    assert row.eer.item() == pytest.approx(chosen.eer.mean(), abs=1e-6)
    assert row["fnmr_at_fmr_0.001"].isna().all()


def test_differences_are_those_of_the_accuracies(files, tables, tmp_path):
    made = {name: tmp_path / f"{name}.{suffix}" for name, suffix in
            (("table", "csv"), ("text", "md"), ("page", "html"), ("chart", "png"))}  # fmt: skip
    comparisons = [["strong", "weak"], ["given", "weak"]]
    compare_scores(SETTINGS | {"comparisons": comparisons}, pairs=files["pairs"], **made)
    rows = pd.read_csv(made["table"]).set_index(["first", "benchmark"])
    accuracies = pd.read_csv(tables["accuracies"]).set_index(["entry", "benchmark"]).sort_index()
    expected = accuracies.loc[("strong", "mean")].accuracy - accuracies.loc[("weak", "mean")].accuracy
    assert rows.loc[("strong", "mean")].difference == pytest.approx(expected, abs=1e-6)
    lines = made["text"].read_text().splitlines()
    assert lines[4].startswith("| strong − weak | 2 and 2 | **+") and lines[5].endswith("* |")
    assert made["chart"].exists() and "Differences on the evaluation benchmarks" in made["page"].read_text()
