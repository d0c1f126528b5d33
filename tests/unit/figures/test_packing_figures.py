"""The figures of a packing: its statistics over the iterations, and what its pictures keep."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from brownid.figures.dynamics import plot_packing, plot_statistics
from brownid.runtime.errors import BrownidError

RANDOM = np.random.default_rng(0)
ANGLES = {name: RANDOM.normal(mean, 0.03, 200) for name, mean in (("start", 0.7), ("targets", 1.4), ("images", 1.1))}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, to look at their axes."""
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (saved.append(self), save(self, *a, **k)))
    return saved


def test_records_of_some_iterations_stand_at_these_iterations(drawn, tmp_path):
    iteration = np.array([0, 100, 200, 250])
    spread = {"nn_min": iteration / 500, "nn_avg": iteration / 400, "nn_max": iteration / 300}
    no_gallery = {"gallery_avg": np.full(4, np.nan)}
    plot_statistics({"iteration": iteration, **spread, **no_gallery, "learning_rate": np.ones(4)}, tmp_path / "a.png")
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert titles == ["Angles to nearest neighbours", "Learning rate"]
    for axes in drawn[0].axes:
        assert axes.lines[0].get_xdata().tolist() == iteration.tolist()
    band = drawn[0].axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 0].max() == 250 and band[:, 1].max() == pytest.approx(250 / 300)


@pytest.mark.parametrize(
    ("energy", "scale"),
    [([-0.2, 0.3], "linear"), ([40.0, 1.0, 0.0], "log"), ([4.0, 3.0], "linear"), ([-1.0, -2.0], "linear")],
)
def test_an_energy_below_zero_is_drawn_on_a_linear_axis(drawn, tmp_path, energy, scale):
    plot_statistics({"energy": np.array(energy)}, tmp_path / "a.png")
    assert drawn[0].axes[0].get_yscale() == scale


def test_a_single_record_is_written_and_not_drawn(drawn, tmp_path):
    plot_statistics({"iteration": np.array([0]), "energy": np.array([1.5])}, tmp_path / "a.png")
    assert not drawn[0].axes and "nothing was iterated" in drawn[0].texts[0].get_text()
    assert "Energy: 1.5 U" in drawn[0].texts[0].get_text()


def test_the_total_force_lies_wide_beneath_the_others(drawn, tmp_path):
    plot_statistics({"intf_avg": np.array([3.0, 1.0]), "totf_avg": np.array([3.0, 1.0])}, tmp_path / "a.png")
    interaction, total = drawn[0].axes[0].lines
    assert total.get_linewidth() > 2 * interaction.get_linewidth() and total.zorder < interaction.zorder


def test_angles_have_an_axis_of_cosines(drawn, tmp_path):
    plot_statistics({"nn_avg": np.array([1.0, 1.2]), "timestep": np.array([1.0, 2.0])}, tmp_path / "a.png")
    steps, angles = drawn[0].axes
    (second,) = angles.child_axes
    assert second.get_ylabel() == "cosine" and not steps.child_axes
    assert sorted(second.get_ylim()) == pytest.approx(sorted(np.cos(angles.get_ylim())))


def test_every_stage_has_its_own_panel_with_all_its_angles_and_the_bound(drawn, tmp_path):
    for copy in ("first.png", "second.png"):
        plot_packing(ANGLES, 1.6, tmp_path / copy, title="packed")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        assert image.info.keys() <= {"dpi"}
    panels = drawn[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == list(ANGLES)
    for axes, angles in zip(panels, ANGLES.values(), strict=True):
        assert axes.patches[0].get_data().values.sum() == len(angles)
        assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([angles.mean(), 1.6])


def test_a_packing_without_spread_is_drawn_too(tmp_path):
    plot_packing({"targets": np.full(4, 1.5)}, 1.5, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_no_stage_is_nothing_to_draw(tmp_path):
    with pytest.raises(BrownidError, match="no angles to draw"):
        plot_packing({}, 1.5, tmp_path / "a.png")
