"""`brownid generate`, `crop` and `embed` on tiny images."""

import logging
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brownid.alignment import templates
from brownid.alignment.faces import Detection
from brownid.alignment.templates import template
from brownid.cli import settings
from brownid.cli.images import SETTINGS
from brownid.cli.options import TEMPLATES, generator_spec, identity_numbers
from brownid.cli.packing import SETTINGS as PACKING
from brownid.covariates.within_class import load_within_class
from brownid.databases.decoding import load_rgb
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.weights.generator_files import GeneratorFile, save_generator_file

WORLD = ["--set", "generator.image_size=32", "--set", "generator.latent_dim=128"]


def test_one_seed_gives_the_same_faces_and_more_of_them_when_asked(run, faces, tmp_path):
    run("generate", "--count", 2, *WORLD, "-o", tmp_path / "two", "--sheet", tmp_path / "sheet.png")
    assert [path.name for path in sorted((tmp_path / "two").iterdir())] == ["00000.png", "00001.png"]
    for name in ("00000.png", "00001.png"):
        assert (tmp_path / "two" / name).read_bytes() == (faces / "images" / name).read_bytes()
    assert load_rgb(tmp_path / "sheet.png").shape[0] > 112


def test_a_collection_gives_back_its_faces_without_naming_the_generator(run, faces, tmp_path):
    run("generate", "--samples", faces / "samples.h5", "--identities", "1-2", "-o", tmp_path / "again")
    found = sorted(path.relative_to(tmp_path / "again").as_posix() for path in (tmp_path / "again").rglob("*.png"))
    assert found == ["00001/reference.png", "00002/reference.png"]
    assert (tmp_path / "again" / found[0]).read_bytes() == (faces / "images" / "00001.png").read_bytes()


def test_a_crop_size_resizes_the_faces(run, faces, tmp_path):
    run("generate", "--samples", faces / "samples.h5", "--crop-size", 48, "-o", tmp_path / "crops")
    assert load_rgb(tmp_path / "crops" / "00000" / "reference.png").shape == (48, 48, 3)


def test_faces_without_the_leading_within_class_directions(run, faces, within_class, tmp_path):
    out = tmp_path / "neutral.h5"
    run("generate", "--count", 3, *WORLD, "--within-class", within_class, "--directions", 2, "--save-samples", out)
    drawn, projected = (SampleCollection.load(path).latents for path in (faces / "samples.h5", out))
    assert SampleCollection.load(out).settings["nuisance_projection"]["directions"] == 2
    directions = load_within_class(within_class).directions
    moved = drawn - projected
    np.testing.assert_allclose(moved, moved @ directions[:2].T @ directions[:2], atol=1e-5)
    assert np.ptp(drawn @ directions[:2].T, axis=0).min() > 0.1
    np.testing.assert_allclose(np.ptp(projected @ directions[:2].T, axis=0), 0, atol=1e-5)  # that of the mean latent


def test_bad_requests_to_generate_are_refused(refusal, faces, tmp_path):
    samples = faces / "samples.h5"
    assert "--output FOLDER" in refusal("generate", "--count", 1)
    assert "--within-class" in refusal("generate", "--count", 1, "--directions", 3, "--sheet", tmp_path / "sheet.png")
    assert "not empty" in refusal("generate", "-o", faces / "images")
    assert "no identity 7" in refusal("generate", "--samples", samples, "--identities", "7", "-o", tmp_path / "o")
    assert "--count" in refusal("generate", "--samples", samples, "--count", 2, "-o", tmp_path / "o")
    assert "have 128 numbers" in refusal(
        "generate", "--samples", samples, "--set", "generator.latent_dim=130", "-o", tmp_path / "o"
    )
    assert "'gan'" in refusal("generate", "--generator", "gan", "-o", tmp_path / "o")
    assert "NAME=VALUE" in refusal("generate", "--set", "generator.latent_dim", "-o", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_settings_are_read_as_values_of_the_configuration_are():
    pairs = ["generator.eyes=[[1, 2], [3, 4]]", "generator.noise=random", "generator.name=mine"]
    given = settings.read(pairs, SETTINGS)["generator"]
    assert generator_spec("stylegan2", given) == {"family": "stylegan2", "eyes": [[1, 2], [3, 4]], "noise": "random"}
    assert settings.read(["learning_rate=1e-4"], PACKING)[""] == {"learning_rate": 1e-4}
    with pytest.raises(BrownidError, match=r"--set generator\.eyes: no YAML"):
        settings.read(["generator.eyes=["], SETTINGS)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["iteratons=3"], "--set iteratons: there is no such setting; did you mean 'iterations'?"),
        (["network.precision=auto"], "--set network.precision: there is no such setting; did you mean 'precision'?"),
        (["size=3"], "--set size: there is no such setting; --set help lists them."),
        (["iterations"], "--set iterations: a setting is written NAME=VALUE."),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_with_the_one_that_was_meant(pairs, sentence):
    with pytest.raises(BrownidError) as caught:
        settings.read(pairs, PACKING)
    assert str(caught.value) == sentence


def test_a_setting_of_another_family_is_refused_and_those_of_a_factory_are_not():
    with pytest.raises(BrownidError, match=r"generator.nois \(family stylegan2\): .* did you mean 'generator.noise'"):
        generator_spec("stylegan2", {"nois": "off"})
    assert generator_spec("my.module:make", {"depth": 3}) == {"factory": "my.module:make", "depth": 3}


def test_the_family_of_a_generator_is_found_in_its_file(run, tmp_path, monkeypatch):
    small = StyleGAN2Settings(resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=4, mapping_layers=1)
    made = random_stylegan2(small, seed=1)
    arguments = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 16, "img_channels": 3}
    arguments |= {"mapping_kwargs": {"num_layers": 1}, "synthesis_kwargs": {"channel_base": 64, "channel_max": 4}}
    path = tmp_path / "any.weights"
    save_generator_file(path, GeneratorFile("stylegan2", arguments, made.state_dict(), "a test"))
    assert generator_spec(str(path), {}) == {"family": "stylegan2", "file": str(path)}
    run("generate", "--generator", path, "--count", 1, "--sheet", tmp_path / "sheet.png")
    with pytest.raises(BrownidError, match=r"none.pkl: there is no such file"):
        generator_spec(str(tmp_path / "none.pkl"), {})
    (tmp_path / "folder" / "unet").mkdir(parents=True)
    assert generator_spec(str(tmp_path / "folder"), {})["family"] == "ldm"
    (tmp_path / "stylegan2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert generator_spec("stylegan2", {}) == {"family": "stylegan2"}  # whatever is called like it


def test_the_help_names_every_template():
    assert TEMPLATES.replace(" or ", ", ").split(", ") == list(templates.TEMPLATES)


def test_no_code_runs_because_a_collection_names_it():
    collection = SampleCollection(
        np.zeros((1, 4)), None, [0], ["reference"], "x", "", settings={"generator": {"factory": "os:getcwd"}}
    )
    with pytest.raises(BrownidError, match="say so yourself, with --generator os:getcwd"):
        generator_spec(None, {}, collection)


def test_identity_ranges_are_read():
    assert identity_numbers("0-2, 7") == [0, 1, 2, 7]
    for wrong in ("", "a", "3-1", "-1", "1-"):
        with pytest.raises(BrownidError, match="--identities"):
            identity_numbers(wrong)


@pytest.fixture
def photographs(tmp_path):
    """A folder with two photographs of 60 x 50 pixels, one of them damaged."""
    pixels = np.random.default_rng(3).integers(0, 255, (50, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    return tmp_path


def test_landmarks_that_lie_on_the_template_leave_the_image_as_it_is(run, tmp_path):
    pixels = np.random.default_rng(4).integers(0, 255, (112, 112, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "aligned.png")
    points = ",".join(f"{number:.6f}" for number in template("arcface", 112).ravel())
    run("crop", tmp_path / "aligned.png", "--landmarks", points, "-o", tmp_path / "crop.png")
    assert np.abs(load_rgb(tmp_path / "crop.png").astype(int) - pixels).max() <= 1


def test_a_csv_of_landmarks_crops_what_can_be_read_and_lists_the_rest(run, photographs):
    table = photographs / "landmarks.csv"
    table.write_text("path,x1,y1,x2,y2\ngood.png,20,20,40,21\nbad.jpg,20,20,40,21\n")
    result = run("crop", "--csv", table, "--image-size", 32, "-o", photographs / "out")
    assert "1 images, 1 failed" in result.stdout and "bad.jpg" in result.stderr
    assert load_rgb(photographs / "out" / "good.png").shape == (32, 32, 3)
    assert (photographs / "out" / "failures.csv").read_text().splitlines()[1].startswith("bad.jpg,")


def test_a_csv_of_landmarks_names_files_that_are_not_utf_8(run, photographs):
    (photographs / "good.png").rename(photographs / os.fsdecode(b"\xe9.png"))
    table = photographs / "landmarks.csv"
    table.write_bytes(b"path,x1,y1,x2,y2\n\xe9.png,20,20,40,21\n")
    assert "1 images, 0 failed" in run("crop", "--csv", table, "--image-size", 32, "-o", photographs / "out").stdout
    assert (photographs / "out" / r"\xe9.png").is_file()


def test_a_folder_is_cropped_where_a_detector_finds_faces(run, refusal, photographs, monkeypatch):
    class Finder:
        def detect(self, image):
            return [Detection((0, 0, 30, 30), 0.9, template("arcface", 30))] if image.any() else []

    asked = []
    monkeypatch.setattr("brownid.alignment.detection.detector", lambda spec: asked.append(spec) or Finder())
    (photographs / "deep").mkdir()
    Image.new("RGB", (40, 40)).save(photographs / "deep" / "black.png")
    options = ("--detector", "yunet", "--detector-file", "yunet.onnx", "--set", "threshold=0.8")
    result = run("crop", photographs, *options, "--image-size", 30, "-o", photographs / "out")
    assert "1 images, 2 failed" in result.stdout and "deep/black.png: no face was detected." in result.stderr
    cropped, source = load_rgb(photographs / "out" / "good.png"), load_rgb(photographs / "good.png")
    assert np.abs(cropped.astype(int) - source[:30, :30]).max() <= 1  # its landmarks fit already
    assert asked == [{"family": "yunet", "threshold": 0.8, "file": Path("yunet.onnx")}]
    assert "no face" in refusal("crop", photographs / "deep" / "black.png", *options, "-o", photographs / "one.png")
    said = refusal("crop", photographs, *options, "--detector", "mtcnn", "-o", "x")
    assert "its 3 model files, pnet, rnet, onet in this order, but --detector-file gives 1" in said
    said = refusal("crop", photographs, "--detector", "retinaface", "-o", "x")
    assert "--detector retinaface: there is no such face detector; known are yunet, mtcnn" in said


class OneFace:
    """A detector that finds a face in every photograph."""

    def detect(self, image):
        return [Detection((0, 0, 30, 30), 0.9, template("arcface", 30))]


def save(pixels, path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format=kind)


FILES = {
    "a/1.pgm": "PPM",
    "a/1.png": "PNG",
    "a/2.TIF": "TIFF",
    "a/3": "PNG",
    "a.png/x.jpg": "JPEG",
    "a.bmp": "BMP",
    os.fsdecode(b"Jos\xe9/1.png"): "PNG",
}


def test_photographs_of_every_format_are_cropped_each_to_a_file_of_its_own(run, tmp_path, monkeypatch, caplog):
    pixels = np.random.default_rng(3).integers(0, 255, (50, 60, 3), np.uint8)
    for name, kind in FILES.items():
        save(pixels, tmp_path / "in" / name, kind)
    (tmp_path / "in" / "notes.txt").touch()
    monkeypatch.setattr("brownid.alignment.detection.detector", lambda spec: OneFace())
    options = ("--detector", "yunet", "--detector-file", "yunet.onnx", "--image-size", 30)
    result = run("crop", tmp_path / "in", *options, "-o", tmp_path / "out")
    assert "7 images, 0 failed" in result.stdout and "passed over 1 file: 1 .txt" in caplog.text
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    found -= {"a.png"}  # a folder
    assert {r"Jos\xe9/1.png", "a/2.png", "a/3.png", "a.png/x.png"} < found
    assert sorted(name.partition("-")[0] for name in found if "-" in name) == ["a", "a/1", "a/1"]


def test_photographs_of_one_name_in_a_table_are_cropped_each_to_a_file_of_its_own(run, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 255, (50, 60, 3), np.uint8)
    table = tmp_path / "tables" / "landmarks.csv"
    save(pixels, tmp_path / "one" / "face.png", "PNG")
    save(pixels, tmp_path / "two" / "face.png", "PNG")
    save(pixels, tmp_path / "tables" / "other.png", "PNG")
    points = "20,20,40,21"
    table.write_text(f"path,x1,y1,x2,y2\n../one/face.png,{points}\n../two/face.png,{points}\nother.png,{points}\n")
    assert "3 images, 0 failed" in run("crop", "--csv", table, "--image-size", 32, "-o", tmp_path / "out").stdout
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "out").glob("*.png")) == [
        "face",
        "face",
        "other.png",
    ]


def test_bad_requests_to_crop_are_refused(refusal, photographs):
    good, out = photographs / "good.png", photographs / "out"
    assert "missing" in refusal("crop", photographs / "none.png", "--landmarks", "1,2,3,4", "-o", out)
    assert "3 numbers" in refusal("crop", good, "--landmarks", "1,2,3", "-o", out)
    assert "not all numbers" in refusal("crop", good, "--landmarks", "1,2,3,x", "-o", out)
    assert "one point" in refusal("crop", good, "--landmarks", "1,2,1,2", "-o", out)
    assert "--overwrite" in refusal("crop", good, "--landmarks", "9,9,30,9", "-o", good)
    assert "with --landmarks, or many" in refusal("crop", good, "-o", out)
    assert "no alignment template" in refusal("crop", good, "--landmarks", "1,2,3,4", "--template", "x", "-o", out)
    table = photographs / "landmarks.csv"
    for content, sentence in {
        "good.png,1,2,3,4\n": "column names",
        "path,x1,y1,x2,y2\ngood.png,1,2,3,4\ngood.png,5,6,7,8\n": "line 3",
        "path,x1,y1,x2,y2\nbad.jpg,1,2,3,4\n": "None of the 1",
    }.items():
        table.write_text(content)
        assert sentence in refusal("crop", "--csv", table, "-o", out)
    assert not out.exists()


def test_embedding_two_images_prints_their_angle(run, faces, weights):
    images = faces / "images" / "00000.png", faces / "images" / "00001.png"
    result = run("embed", *images, images[0], "--weights", weights)
    *_, second, third = result.stdout.splitlines()
    assert float(second.split()[1]) > 0 and float(third.split()[1]) == 0  # the third image is the first again


def test_embedding_a_folder_of_identity_folders_keeps_the_identities(run, faces, weights, tmp_path):
    run("generate", "--samples", faces / "samples.h5", "--identities", "1-2", "-o", tmp_path / "images")
    run("embed", tmp_path / "images", "-w", weights, "-o", tmp_path / "e.h5")
    found = SampleCollection.load(tmp_path / "e.h5")
    assert found.identities.tolist() == [1, 2] and found.labels == ["reference"] * 2
    assert found.recognition == "slim" and np.allclose(np.linalg.norm(found.embeddings, axis=1), 1)


def test_folders_of_any_format_and_name_are_embedded(run, weights, tmp_path, caplog):
    pixels = np.random.default_rng(3).integers(0, 255, (32, 32, 3), np.uint8)
    for name in ("imgs/ann/1.pgm", "imgs/ann/1.png", "imgs/bob/2"):
        save(pixels, tmp_path / name, "PNG")
    save(pixels, tmp_path / os.fsdecode(b"imgs/Jos\xe9/\xff.TIF"), "TIFF")
    run("embed", tmp_path / "imgs", "-w", weights, "-o", tmp_path / "e.h5")
    found = SampleCollection.load(tmp_path / "e.h5")
    assert found.identities.tolist() == [0, 1, 1, 2] and found.labels[0] == "_xff" and found.labels[3] == "2"
    assert len(set(found.labels[1:3])) == 2 and all(label.startswith("1-") for label in found.labels[1:3])
    run("embed", tmp_path, "-w", weights, "-o", tmp_path / "high.h5")
    assert f"too high: the 3 folders in imgs look like identities; if so, name {tmp_path / 'imgs'}" in caplog.text
    result = run("embed", tmp_path / os.fsdecode(b"imgs/Jos\xe9/\xff.TIF"), tmp_path / "imgs" / "ann", "-w", weights)
    assert r"Jos\xe9/\xff.TIF" in result.stdout and "1.pgm" in result.stdout


def test_the_images_of_a_record_file_are_embedded_and_not_cropped(run, refusal, weights, tmp_path, monkeypatch, caplog):
    save(np.zeros((32, 32, 3), np.uint8), tmp_path / "black", "PNG")
    payload = struct.pack("<IfQQ", 0, 5, 0, 0) + (tmp_path / "black").read_bytes()
    (tmp_path / "casia").mkdir()
    (tmp_path / "casia" / "train.rec").write_bytes(
        struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)
    )
    run("embed", tmp_path / "casia", "-w", weights, "-o", tmp_path / "e.h5")
    assert SampleCollection.load(tmp_path / "e.h5").identities.tolist() == [5]
    assert "name it alone" in refusal("embed", tmp_path / "casia", tmp_path / "black", "-w", weights)
    assert "passed over" not in caplog.text
    monkeypatch.setattr("brownid.alignment.detection.detector", lambda spec: OneFace())
    options = ("--detector", "yunet", "--detector-file", "y.onnx")
    assert "`kind: recordio`" in refusal("crop", tmp_path / "casia", *options, "-o", tmp_path / "out")


def test_an_image_that_cannot_be_read_is_reported_and_left_out(run, faces, weights, tmp_path, caplog):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        result = run("embed", tmp_path / "bad.png", faces / "images", "-w", weights, "-o", tmp_path / "e.h5")
    assert "bad.png" in caplog.text and "3 embeddings, 1 images failed" in result.stdout


def test_crops_that_are_not_square_are_embedded_as_the_option_says(run, refusal, weights, tmp_path):
    Image.new("RGB", (24, 28), (90, 60, 50)).save(tmp_path / "tall.png")
    request = ("embed", tmp_path / "tall.png", "-w", weights, "-o", tmp_path / "e.h5")
    assert "None of the 1 images" in refusal(*request)
    assert "'fill'; it is one of pad, stretch, crop" in refusal(*request, "--not-square", "fill")
    assert "1 embeddings, 0 images failed" in run(*request, "--not-square", "pad").stdout


def test_an_onnx_file_needs_no_family_and_the_range_it_reads_can_be_said(run, faces, tmp_path):
    onnx = pytest.importorskip("onnx", reason="the optional extra 'onnx' is not installed")
    pytest.importorskip("onnxruntime", reason="the optional extra 'onnx' is not installed")
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ("batch", 3, 32, 32))
    rows = helper.make_tensor_value_info("output", TensorProto.FLOAT, (None, 3))
    nodes = [helper.make_node("ReduceMean", ["input"], ["output"], axes=[2, 3], keepdims=0)]
    graph = helper.make_graph(nodes, "mean", [image], [rows])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "mean.onnx"
    )
    found = {}
    for name, options in (
        ("signed", ()),
        ("bytes", ("--set", "network.reads_bytes=true", "--set", "network.colour_order=BGR")),
    ):
        run("embed", faces / "images", "-w", tmp_path / "mean.onnx", "-o", tmp_path / f"{name}.h5", *options)
        found[name] = SampleCollection.load(tmp_path / f"{name}.h5").embeddings
    assert found["signed"].shape == found["bytes"].shape and not np.allclose(found["signed"], found["bytes"])


def test_bad_requests_to_embed_are_refused(refusal, faces, weights, tmp_path):
    image = faces / "images" / "00000.png"
    assert "damaged" in refusal("embed", image, "--weights", image)
    assert "there is no image" in refusal("embed", tmp_path, "-w", weights)
    assert "None of the 1 images" in refusal("embed", tmp_path / "none.png", "-w", weights)
    assert "too many to print" in refusal("embed", *[image] * 13, "-w", weights)
    assert "precision" in refusal("embed", image, "-w", weights, "--set", "network.precision=half")
