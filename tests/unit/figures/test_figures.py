"""Every figure is a picture of its data, written whole and with the same bytes each time."""

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from brownid.figures.dynamics import PANELS, plot_angles, plot_statistics
from brownid.figures.faces import contact_sheet, image_grid, image_pairs
from brownid.figures.scores import (
    difference_table,
    plot_det,
    plot_differences,
    plot_roc,
    plot_scores,
    score_table,
)
from brownid.figures.style import line_style, new_figure
from brownid.figures.tables import Table, html, markdown
from brownid.figures.within_class import Spectrum, plot_within_class
from brownid.runtime.errors import BrownidError
from brownid.verification.uncertainty import Estimate

RANDOM = np.random.default_rng(0)
STATISTICS = {
    **{name: 1 + RANDOM.random(5) for panel in PANELS[:7] for name in panel.lines},
    **{f"dist_{end}": 1 + RANDOM.random(5) for end in ("min", "max")},
}
RATES = np.linspace(0, 1, 20)
CURVES = {name: {"a": (RATES, RATES**0.3), "b": (RATES, RATES**0.6)} for name in ("LFW", "CPLFW", "CALFW", "AgeDB-30")}
EDGES = np.linspace(0, np.pi, 181)
HISTOGRAMS = {"genuine": np.histogram(RANDOM.normal(0.8, 0.1, 500), EDGES)[0], "none": np.zeros(180)}
IMAGES = RANDOM.integers(0, 256, (7, 56, 56, 3), dtype=np.uint8)


def estimate(value, std=float("nan"), trainings=(1,)):
    return Estimate(value, std, value - 0.02, value + 0.02, trainings)


SCORES = {
    "genuine": {"LFW": estimate(0.9), "CFP-FP": estimate(0.8), "mean": estimate(0.85)},
    "synthetic": {
        name: estimate(value, 0.01, (3,)) for name, value in (("LFW", 0.7), ("CFP-FP", 0.85), ("mean", 0.775))
    },
}
SINGLE = {"synthetic": {"mean": [0.76, 0.77, 0.79]}}
DIFFERENCES = {
    "a − b": {"LFW": estimate(0.05, 0.01, (3, 3)), "mean": estimate(-0.01, 0.01, (3, 3))},
    "a − c": {"LFW": estimate(0.05, 0.01, (3, 1)), "mean": estimate(-1e-17, 0.01, (3, 1))},
}
EIGENVALUES = 1.0 / np.arange(1, 30)
SPECTRUM = Spectrum(EIGENVALUES, EIGENVALUES[:20] + 0.1, 0.1, IMAGES[:6].reshape(2, 3, 56, 56, 3), (-1.0, 0.0, 1.0))

DRAWINGS = {
    "dynamics": lambda path: plot_statistics(STATISTICS, path, title="Langevin"),
    "roc": lambda path: plot_roc(CURVES, path, title="ROC"),
    "angles": lambda path: plot_angles(HISTOGRAMS, EDGES, path, marks={"leak guard": 0.6}, title="Angles"),
    "det": lambda path: plot_det(CURVES, path, title="DET"),
    "scores": lambda path: plot_scores(SCORES, path, single=SINGLE, title="Scores"),
    "differences": lambda path: plot_differences(DIFFERENCES, path, title="Differences"),
    "grid": lambda path: image_grid(
        [IMAGES[:4], IMAGES[4:]], path, row_labels=["a", "b"], column_labels=["reference"], title="Variations"
    ),
    "within class": lambda path: plot_within_class({"W": SPECTRUM, "W+": SPECTRUM}, path, title="Covariance"),
    "sheet": lambda path: contact_sheet(IMAGES, path, columns=3, captions=list("abcdefg")),
    "pairs": lambda path: image_pairs(IMAGES[:3], IMAGES[3:6], [0.5, 0.6, 0.7], path, columns=2),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_has_content_and_the_same_bytes_twice(name, tmp_path):
    for copy in ("first.png", "second.png"):
        DRAWINGS[name](tmp_path / copy)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        assert image.info.keys() <= {"dpi"}, "no date, no program version"
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels != 255).any(axis=2).mean() > 0.02
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "second.png"]


def test_changed_data_change_the_figure(tmp_path):
    plot_angles(HISTOGRAMS, EDGES, tmp_path / "one.png")
    plot_angles(HISTOGRAMS | {"none": np.ones(180)}, EDGES, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_the_settings_of_the_user_do_not_change_a_figure(tmp_path):
    plot_scores(SCORES, tmp_path / "one.png")
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        plot_scores(SCORES, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_figure_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), new_figure(tmp_path / "a.png", 2, 2) as figure:
        figure.subplots().plot([0, 1 / 0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "line"), [("energy", 0), ("rndf_avg", 2)])
def test_a_line_of_constant_zero_is_drawn_where_others_are_logarithmic(tmp_path, name, line):
    plot_statistics({name: np.zeros(3)}, tmp_path / "zero.png")
    with Image.open(tmp_path / "zero.png") as image:
        pixels = np.asarray(image.convert("RGB")) / 255
    coloured = np.abs(pixels - to_rgb(line_style(line)["color"])).max(axis=2) < 0.02
    assert coloured.any(axis=0).sum() > 0.25 * pixels.shape[1], "from the first iteration to the last"


def test_images_are_shown_pixel_for_pixel(tmp_path):
    image_grid([[IMAGES[0], IMAGES[1]]], tmp_path / "grid.png", height=56)
    with Image.open(tmp_path / "grid.png") as sheet:
        pixels = np.asarray(sheet)
    for image, x in ((IMAGES[0], 12), (IMAGES[1], 12 + 56 + 4)):
        np.testing.assert_array_equal(pixels[12 : 12 + 56, x : x + 56], image)


def test_nothing_to_draw_is_a_sentence(tmp_path):
    path = tmp_path / "a.png"
    for draw in (
        lambda: plot_statistics({"other": np.ones(3)}, path),
        lambda: plot_roc({}, path),
        lambda: plot_det({}, path),
        lambda: plot_differences({}, path),
        lambda: score_table({}),
        lambda: difference_table({}),
        lambda: plot_angles({"genuine": np.zeros(180)}, EDGES, path),
        lambda: plot_scores({}, path),
        lambda: contact_sheet(IMAGES[:0], path),
        lambda: image_pairs(IMAGES[:0], IMAGES[:0], [], path),
    ):
        with pytest.raises(BrownidError, match="to draw"):
            draw()
    with pytest.raises(BrownidError, match="one size"):
        image_grid([[IMAGES[0], IMAGES[0][:20]]], path)
    with pytest.raises(BrownidError, match="7, 6, 2"):
        image_pairs(IMAGES, IMAGES[:6], [0.1, 0.2], path)
    with pytest.raises(BrownidError, match="3 bins, its edges make 180"):
        plot_angles({"genuine": np.ones(3)}, EDGES, path)


def test_the_score_table_shows_standard_deviations_and_intervals_and_marks_the_best():
    assert markdown([score_table(SCORES)]).splitlines() == [
        "| entry | networks | LFW | CFP-FP | mean | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| genuine | 1 | **90.00** | 80.00 | **85.00** | 83.0 to 87.0* |",
        "| synthetic | 3 | 70.00 ± 1.00 | **85.00 ± 1.00** | 77.50 ± 1.00 | 75.5 to 79.5 |",
    ]


def test_a_lone_entry_is_not_the_best():
    assert "**" not in markdown([score_table({"genuine": SCORES["genuine"]})])


def test_a_difference_is_bold_where_its_interval_excludes_zero_over_trainings_too():
    assert markdown([difference_table(DIFFERENCES, confidence=0.9)]).splitlines() == [
        "| difference | networks | LFW | mean | 90 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| a − b | 3 and 3 | **+5.00** | -1.00 | -3.0 to +1.0 |",
        "| a − c | 3 and 1 | +5.00 | +0.00 | -2.0 to +2.0* |",
    ]


def test_tables_of_a_document_have_titles_and_notes():
    table = Table(["a", "b"], [["x", "1"]], title="First")
    assert markdown([table, table], ["A note."]).splitlines() == [
        *(2 * ["**First**", "", "| a | b |", "| --- | ---: |", "| x | 1 |", ""]),
        "- A note.",
    ]


def test_the_html_table_is_escaped():
    table = Table(["<entry>", "b"], [["<b>&", "50.00"]], bold=frozenset({(0, 1)}), shaded=frozenset({"b"}))
    page = html("A & B", [table], ["x < y"])
    assert "<title>A &amp; B</title>" in page and "<p>x &lt; y</p>" in page
    assert "<th>&lt;b>&amp;</th>" in page and '<td class="shaded"><b>50.00</b></td>' in page
    assert page.count("<table") == 1


def test_a_det_curve_without_any_error_is_drawn(tmp_path):
    perfect = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])
    plot_det({"LFW": {"perfect": perfect}}, tmp_path / "det.png")
    assert (tmp_path / "det.png").exists()


def test_the_first_21_series_of_a_figure_look_different():
    assert len(pd.DataFrame([line_style(index) for index in range(21)]).astype(str).drop_duplicates()) == 21


@pytest.mark.parametrize("drawing", ["dynamics", "sheet"])
def test_a_full_disk_is_a_sentence_although_pillow_hides_the_reason(tmp_path, monkeypatch, drawing):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BrownidError, match=rf"{drawing}\.png: No space left on device; make room there"):
        DRAWINGS[drawing](tmp_path / f"{drawing}.png")
