"""What the gallery and the report show: synthetic datasets, and files that the run makes."""

from pathlib import Path

import pytest
import yaml

from brownid.configuration import products, report
from brownid.configuration.loading import load_configuration
from brownid.runtime.errors import BrownidError

TINY = yaml.safe_load((Path(__file__).parents[2] / "tiny.yaml").read_text())
CAPTIONS = Path(__file__).parents[3] / "workflow/report"


def tiny(**sections):
    return load_configuration({**TINY, **sections}, files=False)


def test_the_gallery_shows_synthetic_datasets_alone():
    assert products.gallery_datasets(tiny()) == ["packed_varied", "varied", "moved", "packed", "rejected"]
    assert products.gallery_datasets(tiny(gallery={"datasets": ["varied"]})) == ["varied"]
    with pytest.raises(BrownidError, match=r"gallery.datasets: there is no entry 'portraits' under references or vari"):
        tiny(gallery={"datasets": ["portraits"]})


def test_a_release_has_the_galleries_of_its_own_datasets():
    parts = products.release_parts(tiny(release={**TINY["release"], "datasets": ["moved"], "training_sets": None}))
    assert list(parts["galleries"]) == ["moved"]
    assert products.release_parts(tiny(gallery={"datasets": []}))["galleries"] == {}


def test_without_a_gallery_its_page_is_not_made():
    assert products.pages(tiny()) == [products.REPORT_PAGE, products.GALLERY_PAGE]
    assert products.pages(tiny(gallery={"datasets": []})) == [products.REPORT_PAGE]


def test_the_report_shows_each_figure_once_and_has_the_captions_that_it_names():
    config = tiny()
    shown = report.report_files(config)
    assert len(shown) == len(set(shown))
    made = [*products.scores(config), *products.figures(config)]
    assert {path for path in made if path.endswith(".png")} <= set(shown)
    captions = {item["caption"] for section in report.report_sections(config) for item in section["items"]} - {""}
    assert all((CAPTIONS / f"{name}.rst").is_file() for name in captions)
