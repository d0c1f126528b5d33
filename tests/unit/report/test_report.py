"""The report: its sentences, captions and tables, and that the page holds everything that it shows."""

import re

import numpy as np
import pytest
from PIL import Image

from brownid.figures.tables import Table, html
from brownid.gallery.completeness import gallery_facts
from brownid.report.page import Run, report_page
from brownid.report.parts import MOST_ROWS, caption_html, table_html
from brownid.report.summary import sentences
from brownid.samples.images import write_image_shard
from build_gallery import build_gallery
from write_report import write_report

FACTS = {
    "datasets": {
        "lang": {"algorithm": "langevin", "references": "lang", "images": 4},
        "varied": {"algorithm": "disco", "references": "lang", "images": 8},
    },
    "generators": ["gan"],
    "networks": ["arc"],
    "trainings": {"fr": 2},
    "scored": ["fr"],
    "benchmarks": ["lfw"],
    "judge": "judge",
    "release": None,
    "seed": 1,
    "photographs": [],
}
ACCURACIES = "entry,benchmark,accuracy\nfr,lfw,0.9\nfr,mean,0.8\nother,mean,0.85\n"
QUALITY = "dataset,identity_consistency,diversity\nlang,,\nvaried,0.95,0.4\npeople,0.99,0.9\n"


@pytest.fixture
def tables(tmp_path):
    for name, text in {"accuracies": ACCURACIES, "quality": QUALITY}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path / "accuracies.csv", tmp_path / "quality.csv"


def test_five_sentences_say_what_was_made_and_found(tables):
    first, methods, networks, scores, quality = sentences(FACTS, {}, *tables)
    assert "2 datasets of synthetic faces, 12 images in all, with the generator `gan`" in first
    assert methods == "The identities come from Langevin dynamics, their variations from DisCo."
    assert networks.startswith("2 FR networks of 1 entry were trained")
    assert scores == "Mean accuracy over the benchmarks: `fr` 80.0 %."
    assert "`varied` keeps identities best (consistency 95.0 %)" in quality and "people" not in quality
    assert len(sentences(FACTS | {"trainings": {}}, {}, None, None)) == 2, "of what is not there nothing is said"


def test_images_are_counted_whole_where_the_gallery_shows_some(tmp_path):
    labels = ["reference", "augmentation_0"]
    write_image_shard(tmp_path / "i.arrow", "lang", [0, 0, 1, 1, 2, 2], labels * 3, np.zeros((6, 16, 16, 3), np.uint8))
    data = tmp_path / "gallery/varied/data.js"
    settings = {"dataset": "varied", "thumbnail_size": 16, "most_images": 2}
    build_gallery(settings, images=[tmp_path / "i.arrow"], identities=None, data=data)
    facts = gallery_facts(data)
    assert (facts["images"], facts["left_out"]) == (2, 2)
    assert "2 datasets of synthetic faces, 7 images in all" in sentences(FACTS, {"varied": facts}, None, None)[0]


def test_captions_name_the_entry_and_keep_their_emphasis():
    text = "Images of {{ snakemake.wildcards.dataset }},\nsee *Differences*: a < b.\n\nSecond."
    assert caption_html(text, "faces") == "<p>Images of faces, see <em>Differences</em>: a &lt; b.</p><p>Second.</p>"


def test_a_table_is_shown_as_one_and_says_where_it_was_cut(tmp_path):
    (tmp_path / "t.csv").write_text("angles,nearest_impostor\n" + "a<b,0.123456\n" * (MOST_ROWS + 3))
    shown = table_html(tmp_path / "t.csv", "tables/t.csv")
    assert "nearest impostor" in shown and shown.count("<td>0.1235</td>") == MOST_ROWS and "a&lt;b" in shown
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 3} rows" in shown and 'href="tables/t.csv"' in shown


def test_the_page_holds_pictures_tables_and_captions_itself_and_has_the_same_bytes_again(tmp_path, tables):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "f.png")
    (tmp_path / "s.html").write_text(
        html("Scores", [Table(["entry", "mean"], [["fr", "80.00"]], "Accuracy")], ["Note."])
    )
    write_image_shard(
        tmp_path / "i.arrow", "lang", [0, 0], ["reference", "augmentation_0"], np.zeros((2, 16, 16, 3), np.uint8)
    )
    build_gallery(
        {"dataset": "varied", "thumbnail_size": 16, "most_images": 99},
        images=[tmp_path / "i.arrow"],
        identities=None,
        data=tmp_path / "gallery/varied/data.js",
    )
    scores = [
        {"title": "Accuracy", "caption": "scores", "of": "", "figure": str(tmp_path / "f.png")},
        {"title": "Table", "caption": "", "of": "", "page": str(tmp_path / "s.html")},
    ]
    more = [{"title": "Angles of varied", "caption": "", "of": "varied", "table": str(tables[0])}]
    sections = [{"title": "Scores", "items": scores}, {"title": "Angles", "items": more}]
    pages = [tmp_path / "report.html", tmp_path / "again.html"]
    for page in pages:
        write_report(
            {"sections": sections, "facts": FACTS, "gallery": ["varied"]},
            captions={"scores": "Bars are *intervals*."},
            galleries=[tmp_path / "gallery/varied/data.js"],
            accuracies=tables[0],
            quality=tables[1],
            page=page,
            index=tmp_path / "gallery/index.html",
        )
    text = pages[0].read_text()
    assert "real people" not in text
    assert text == pages[1].read_text()
    assert re.findall(r"<h3>(.*?)</h3>", text) == [
        "Table",
        "Accuracy",
        "1.1 Accuracy",
        "1.2 Table",
        "2.1 Angles of varied",
    ]
    assert "<p>Bars are <em>intervals</em>.</p>" in text and "Note." in text and 'class="strip"' in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)(?:https?:|/)', text), "nothing is loaded from elsewhere"
    assert '"varied"' in (tmp_path / "gallery/index.html").read_text()


def test_a_page_with_photographs_of_people_says_so_first_and_beside_each(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "pairs.png")
    figure = str(tmp_path / "pairs.png")
    sections = [{"title": "Leaks", "items": [{"title": "Pairs", "caption": "", "of": "", "figure": figure}]}]
    text = report_page(Run(sections, FACTS | {"photographs": [figure]}, {}, {}), tmp_path / "report.html")
    assert "This file holds photographs of real people (1.1 Pairs). Pass this file on only where" in text
    assert text.count("photographs of real people") == 2 and text.count('<p class="notice">') == 2
