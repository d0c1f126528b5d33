"""What a run ends with."""

from brownid.planning.summary import summary


def results(directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"| {name} |\n")


TABLE = "results/tables/evaluation/scores.md"
ALL = (TABLE, "results/tables/evaluation/scores.csv", "results/release/world/manifest.csv", "results/report.html")


def test_a_run_ends_with_the_table_and_three_paths(tmp_path):
    results(tmp_path, *ALL, "results/images/a.parquet")
    last = [tmp_path / "results/tables/evaluation/scores.csv", tmp_path / "results/report.html"]
    assert summary(tmp_path).split("\n") == [
        *("", f"| {TABLE} |", "", f"{tmp_path}/results/release/world/"),
        *map(str, last),
    ]


def test_a_run_of_a_part_does_not_end_with_older_scores(tmp_path):
    results(tmp_path, *ALL, "results/images/a.parquet", "results/figures/faces/a.png")
    made = {"results/images/a.parquet", "results/figures/faces/a.png"}
    assert summary(tmp_path, made).split() == [
        f"{tmp_path}/results/{name}/" for name in ("figures/faces", "images", "figures")
    ]
    made = {"results/tables/development/scores.md"}
    results(tmp_path, *made)
    assert "development/scores.md" in summary(tmp_path, made)


def test_nothing_made_is_nothing_said(tmp_path):
    assert summary(tmp_path) == ""
