"""The gallery: which image stands where on the sheets, what the scripts say, and the page in a browser."""

import json
import re

import numpy as np
import pytest
from browser import Browser, needs_browser
from PIL import Image

import package_release
from brownid.gallery.completeness import gallery_facts
from brownid.gallery.page import gallery_page
from brownid.gallery.sheets import COLUMNS, ROWS, write_gallery
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import REFERENCE, variation_label
from brownid.samples.images import ImageShards, write_image_shard
from build_gallery import build_gallery

SIDE = 16


def shade(identity, place):
    return (10 * identity + 3 * place) % 256


def shards(folder, identities, images_each, side=SIDE):
    """References in one shard, variations in another; every image has a shade of its own."""
    paths = []
    for name, places in {"references": range(1), "variations": range(1, images_each)}.items():
        rows = [(identity, place) for identity in range(identities) for place in places]
        if rows:
            labels = [variation_label(place - 1) if place else REFERENCE for _, place in rows]
            pixels = np.stack([np.full((side, side, 3), shade(*row), np.uint8) for row in rows])
            paths.append(folder / f"{name}.arrow")
            write_image_shard(paths[-1], "faces", [identity for identity, _ in rows], labels, pixels)
    return paths


def calls(path):
    """The arguments of the call that a script of the data is."""
    name, values = re.fullmatch(r"gallery\.(\w+)\((.*)\);\n", path.read_text()).groups()
    return name, json.loads(f"[{values}]")


def measured(identities):
    """Measures of identities; the nearest of each is the next, and the last has none."""
    return {
        number: {
            "reference_angle": 0.5 + number / 100,
            "consistency": number % 2,
            "nearest_impostor": 1 + (number * 7 % identities) / 10,
            "nearest_identity": (number + 1) % identities,
            "leak_angle": float("nan"),
        }
        for number in range(identities)
    }


def test_of_a_large_dataset_the_first_identities_are_shown_whole(tmp_path):
    write_gallery(
        tmp_path,
        "faces",
        ImageShards(shards(tmp_path, 5, 3)),
        thumbnail_size=64,
        most_images=8,
        identities=measured(5),
    )
    _, (about,) = calls(tmp_path / "data.js")
    assert [about[name] for name in ("identities", "left_out", "images")] == [2, 3, 6]
    _, (_, _, columns) = calls(tmp_path / "part-000.js")
    assert columns["identity"] == [0, 1] and columns["nearest_identity"] == [1, 2]


def test_images_stand_by_identity_with_the_reference_first(tmp_path):
    write_gallery(tmp_path, "faces", ImageShards(shards(tmp_path, 5, 3)), thumbnail_size=64)
    sheet = np.asarray(Image.open(tmp_path / "00000.jpg"))
    assert sheet.shape == (SIDE, COLUMNS * SIDE, 3)
    tiles = [sheet[SIDE // 2, SIDE * place + SIDE // 2, 0] for place in range(15)]
    expected = [shade(identity, place) for identity in range(5) for place in range(3)]
    assert np.abs(np.subtract(tiles, expected, dtype=int)).max() <= 2, "JPEG is not exact"
    assert not (tmp_path / "00001.jpg").exists()


def test_a_reference_whose_variations_were_left_out_is_not_shown_among_variations(tmp_path):
    paths = shards(tmp_path, 3, 1)
    write_image_shard(
        tmp_path / "v.arrow", "faces", [2, 2], [variation_label(0), variation_label(1)], np.zeros((2, 16, 16, 3), "u1")
    )
    write_gallery(tmp_path, "faces", ImageShards([*paths, tmp_path / "v.arrow"]), thumbnail_size=64)
    assert calls(tmp_path / "part-000.js")[1][2] == {"identity": [2], "count": [3], "labels": [0]}


def test_sheets_are_bounded_and_tiles_never_larger_than_images_in_whole_blocks(tmp_path):
    count = COLUMNS * ROWS + 1
    write_gallery(tmp_path, "faces", ImageShards(shards(tmp_path, count, 1, side=20)), thumbnail_size=64)
    assert Image.open(tmp_path / "00000.jpg").size == (COLUMNS * 16, ROWS * 16)
    assert Image.open(tmp_path / "00001.jpg").size == (COLUMNS * 16, 16)
    about = calls(tmp_path / "data.js")[1][0]
    assert (about["side"], about["images"], about["identities"], about["measures"]) == (16, count, count, [])


def test_the_stage_writes_what_the_judge_measured_and_the_same_bytes_again(tmp_path):
    table = tmp_path / "identities.csv"
    table.write_text("identity,images,consistency,nearest_identity,leak_angle\n0,3,0.5,1,\n1,3,,0,\n")
    paths, settings = shards(tmp_path, 2, 3), {"dataset": "faces", "thumbnail_size": 32, "most_images": 99}
    for name in ("first", "second"):
        build_gallery(settings, images=paths, identities=table, data=tmp_path / name / "data.js")
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("first", "second"))
    assert [path.name for path in first] == ["00000.jpg", "data.js", "part-000.js"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    columns = calls(tmp_path / "first" / "part-000.js")[1][2]
    assert columns["consistency"] == [0.5, None] and columns["nearest_identity"] == [1, 0]
    assert calls(tmp_path / "first" / "data.js")[1][0]["measures"] == ["consistency"]


@pytest.mark.parametrize("name", ["00001.jpg", "part-000.js"])
def test_a_sheet_or_script_that_is_gone_is_noticed_by_report_and_release(tmp_path, name):
    write_gallery(tmp_path, "faces", ImageShards(shards(tmp_path, COLUMNS * ROWS + 1, 1)), thumbnail_size=16)
    assert gallery_facts(tmp_path / "data.js")["totals"] == {"images": 257, "identities": 257}
    (tmp_path / name).unlink()
    for read in (gallery_facts, lambda data: package_release._gallery("faces", data)):
        with pytest.raises(BrownidError, match=rf"{name}: no such file.*--forcerun build_gallery"):
            read(tmp_path / "data.js")


def test_a_dataset_without_images_has_no_gallery(tmp_path):
    write_image_shard(tmp_path / "none.arrow", "faces", [], [], np.zeros((0, 16, 16, 3), np.uint8))
    with pytest.raises(BrownidError, match="there are no images"):
        write_gallery(tmp_path, "faces", ImageShards([tmp_path / "none.arrow"]), thumbnail_size=64)


NEXT = measured(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    for name, each in {"varied": 3, "single": 1}.items():
        (folder / name).mkdir()
        write_gallery(
            folder / name,
            name,
            ImageShards(shards(folder / name, 20, each)),
            thumbnail_size=64,
            identities=measured(20),
        )
    (folder / "index.html").write_text(gallery_page(["varied", "single"]))
    return folder / "index.html"


READY = "document.body && document.body.dataset.ready"
SHOWN = "[...document.querySelectorAll('article b')].map(b => b.textContent)"


@needs_browser
def test_the_page_opens_from_a_folder_and_sorts_filters_and_pairs(browser, page):
    browser.size(1000, 800)
    browser.open(page, ready=READY)
    assert browser.value(SHOWN)[:3] == ["00000", "00001", "00002"]
    assert "20 of 20 identities, 60 images" in browser.value("by('count').textContent")
    browser.value("show({sort: 'nearest_impostor', falling: true})")
    assert browser.value(SHOWN)[:3] == ["00017", "00014", "00011"]
    browser.value("state.ranges = {consistency: ['1', ''], identity: '0-9'}; refresh(); 0")
    assert sorted(browser.value(SHOWN)) == ["00001", "00003", "00005", "00007", "00009"]
    browser.value("show({view: 'pairs', falling: false, ranges: {}})")
    assert browser.value(SHOWN)[:2] == ["00000 · 00001", "00003 · 00004"]
    browser.value("show({dataset: 'single', view: 'identities', sort: 'identity'})")
    assert len(browser.value(SHOWN)) == 20 and not browser.errors


@needs_browser
def test_the_keyboard_moves_and_enlarges(browser, page):
    browser.size(1000, 800)
    browser.open(page, "#dataset=varied", READY)
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "Enter"):
        browser.press(key)
    assert "Identity 00001, reference" in browser.value("by('zoom').textContent")
    browser.press("ArrowRight")
    assert "Identity 00001, variation 0" in browser.value("by('zoom').textContent")
    assert "0.510 rad (cosine 0.873)" in browser.value("by('zoom').textContent")
    browser.press("Escape")
    browser.until("!by('zoom').open")
    assert browser.value("document.activeElement.className") == "tile" and not browser.errors


@needs_browser
def test_a_phone_sees_whole_rows_and_only_what_is_near_is_laid_out(browser, page):
    browser.size(390, 844)
    browser.open(page, "#dataset=varied", READY)
    assert browser.value("document.documentElement.scrollWidth") <= 390
    browser.size(390, 200)
    browser.until("placed.size < 20")
    assert not browser.errors


@needs_browser
def test_pairs_whose_partner_is_not_shown_are_counted_in_a_note(browser, tmp_path):
    (tmp_path / "capped").mkdir()
    paths = shards(tmp_path, 20, 3)
    write_gallery(tmp_path / "capped", "capped", ImageShards(paths), thumbnail_size=64, most_images=30, identities=NEXT)
    (tmp_path / "index.html").write_text(gallery_page(["capped"]))
    browser.open(tmp_path / "index.html", ready=READY)
    notes = browser.value("by('notes').textContent")
    assert "10 more identities (gallery.most_images)" in notes
    assert "left out, as the neighbour is not shown here: 1." in notes and not browser.errors
