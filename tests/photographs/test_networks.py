"""Published networks give the numbers of the peers' own code: SFace those of OpenCV, LPIPS those of its package."""

import re

import cv2
import numpy as np
import onnx
import pytest
import torch

from brownid.covariates.features import CONVOLUTIONS, TORCHVISION, load_perceptual_features
from brownid.databases.decoding import load_rgb
from brownid.samples.collection import SampleCollection

# `LPIPS(net="vgg", pnet_rand=True)` of lpips 0.1.4 on the two pictures of the test below, its VGG16 with these weights.
LPIPS_OF_THE_PACKAGE = 0.0842326


@pytest.fixture(scope="module")
def crops(files, brownid):
    """The photographs' faces on ArcFace's template, by `brownid crop`."""
    folder = files.root / "crops"
    brownid("crop", files.pictures, "--detector", "yunet", "--detector-file", files.model("yunet.onnx"), "-o", folder)
    return folder


def opencv_sface(files):
    """cv2.FaceRecognizerSF; OpenCV 5 does not read the file before the inputs that no node reads are removed."""
    model = onnx.load(files.model("sface.onnx"))
    read = {name for node in model.graph.node for name in node.input}
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name in read - initialised]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    onnx.save(model, files.root / "opencv_sface.onnx")
    return cv2.FaceRecognizerSF.create(str(files.root / "opencv_sface.onnx"), "")


def test_sface_embeds_a_crop_as_opencv_does(files, crops, brownid, tmp_path):
    brownid("embed", crops, "--weights", files.model("sface.onnx"), "-o", tmp_path / "embeddings.h5")
    peer = opencv_sface(files)
    paths = sorted(crops.glob("*.png"))
    embeddings = np.asarray(SampleCollection.load(tmp_path / "embeddings.h5", columns=("embeddings",)).embeddings)
    assert len(embeddings) == len(paths) == len(list(files.pictures.iterdir()))
    for embedding, path in zip(embeddings, paths, strict=True):
        feature = peer.feature(cv2.imread(str(path)))[0]
        cosine = embedding @ feature / np.linalg.norm(embedding) / np.linalg.norm(feature)
        assert cosine == pytest.approx(1, abs=5e-5)


def test_sface_tells_two_persons_apart(files, crops, brownid):
    same = [crops / f"{name}.png" for name in ("obama", "obama2", "obama3")]
    said = brownid("embed", *same, crops / "biden.png", "--weights", files.model("sface.onnx"))
    angles = [float(number) for number in re.findall(r"\d\.\d{3}", said)]
    assert len(angles) == 6
    assert max(angles[:3]) < 1.0 < min(angles[3:])  # rows of a triangle: the last one compares with the other person


def test_lpips_is_that_of_its_package(files, tmp_path):
    stream = np.random.RandomState(1)  # whose numbers numpy promises never to change
    tensors = {}
    for name, (outputs, inputs) in zip(TORCHVISION.convolutions, CONVOLUTIONS, strict=True):
        weight = stream.standard_normal((outputs, inputs, 3, 3)) * (2 / (9 * inputs)) ** 0.5
        tensors[f"{name}.weight"] = torch.from_numpy(weight.astype(np.float32))
        tensors[f"{name}.bias"] = torch.from_numpy((stream.standard_normal(outputs) * 0.1).astype(np.float32))
    torch.save(tensors, tmp_path / "vgg16.pth")
    features = load_perceptual_features(tmp_path / "vgg16.pth", files.model("lpips.pth"))
    face = torch.from_numpy(load_rgb(files.pictures / "astronaut.png")[:256, 100:356].copy())
    face = face.permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        first, second = features(torch.cat([face, face.flip(3)]))
    assert (first - second).square().sum().item() == pytest.approx(LPIPS_OF_THE_PACKAGE, abs=2e-7)
