"""The scenarios of the library, those of parts that `brownid doctor` leaves out, and which of them differ by rounding.

Not among them, as they use no device: YuNet (OpenCV), realignment, leak audit and quality (NumPy), scores of pairs.
"""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from torch.nn import functional as F

from brownid.alignment.crop import FixedCrop
from brownid.alignment.detection import detector
from brownid.alignment.mtcnn import ONet, PNet, RNet
from brownid.covariates.features import CONVOLUTIONS, PerceptualFeatures, pixels_and_embedding
from brownid.covariates.settings import WarmStartSettings
from brownid.covariates.warm_start import fit_warm_start
from brownid.dynamics.baselines import random_references
from brownid.dynamics.dispersion import dispersion
from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import LangevinSettings, WithinClassSettings
from brownid.embeddings.angles import fixed_repulsion, neighbour_repulsion
from brownid.embeddings.neighbours import nearest
from brownid.embeddings.pairwise import pairwise_forces
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import crop_for, load_face_model, load_generator, random_latents
from brownid.facemodel.model import GeneratorFaceModel, WPlusFaceModel
from brownid.hyperface.inversion import draw_faces, starting_latents
from brownid.hyperface.settings import InversionSettings
from brownid.hyperface.variations import inverted_variations
from brownid.jobs.resume import StateFile
from brownid.planning import scenarios as shared
from brownid.planning.scenarios import (
    SEED,
    SIDE,
    STYLEGAN2,
    WIDTH,
    face_model,
    moved,
    packed,
    projected,
    trained,
    vectors,
)
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_backbone, save_backbone
from brownid.runtime.randomness import NoiseKey, uniform
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard
from brownid.training.run import train_recognition
from brownid.training.settings import TrainingSettings
from brownid.verification.bins import write_bin
from brownid.verification.score import score_network
from brownid.weights.state_dict import read_weights
from brownid.world.people import GenuineWorld

SCENARIOS = dict(shared.SCENARIOS)
# How far they may be apart, as a share of the largest number: autocast casts other operations on a GPU than on a CPU,
# diffusers takes other paths there, and drawn noise is rounded by another logarithm and cosine.
ROUNDED = {
    "langevin with random noise maps": 1e-5,
    "rendering": 0.004,  # a pixel
    "a face model from files": 1e-5,
    "langevin in bfloat16": 0.02,
    "training in bfloat16": 0.02,
    "langevin of StyleGAN3": 1e-5,
    "Arc2Face and latent diffusion": 1e-5,
}


def scenario(name):
    def enter(function):
        SCENARIOS[name] = function
        return function

    return enter


def photographs(count, side=SIDE):
    return (255 * uniform(SEED, "scenarios/photographs", range(count), (side, side, 3))).to(torch.uint8).numpy()


def network_of(family, architecture, device, width=WIDTH):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return backbone(family, architecture, SIDE, width).eval().to(device)


@scenario("langevin in W+, away from nuisance directions")
def _(device):
    model = WPlusFaceModel(face_model(device))
    latents = model.from_w(random_latents(model.model.generator, range(3), 0.7, SEED))
    directions = torch.linalg.qr(vectors("cpu", 2, "nuisance", latents.shape[1]).T)[0].T
    settings = LangevinSettings(iterations=1, repulsion_radius=2.0, force_clip=0.1, timestep=0.1)
    run = langevin(model, latents, settings, seed=SEED, nuisance_directions=directions)
    return run.latents, run.embeddings


@scenario("langevin that was interrupted")
def _(device):
    model = face_model(device)
    embed, calls = model.embed, []

    def failing(*given):
        calls.append(given)
        if len(calls) == 4:  # in the second iteration
            raise InterruptedError
        return embed(*given)

    with TemporaryDirectory() as folder:
        state = StateFile(Path(folder) / "state", {})
        model.embed = failing
        with suppress(InterruptedError):
            moved(model, state=state)
        assert state.path.exists()
        model.embed = embed
        return moved(model, state=state)


@scenario("langevin of StyleGAN3")
def _(device):
    sizes = {"resolution": 16, "channel_base": 128, "channel_max": 8, "latent_dim": 16, "layers": 4}
    generator = load_generator({"family": "stylegan3", "random": sizes, "seed": SEED}, device)
    model = GeneratorFaceModel(
        generator, crop_for(generator, "two_eye", SIDE), network_of("slim", "slim_plain", device)
    )
    generator.anchor()
    images = model.render(random_latents(generator, range(2), 0.7, SEED))
    return (images, *moved(model, 3, batch_size=2, iterations=1)[:2])


@scenario("langevin of the embedded world")
def _(device):
    generator = load_generator({"family": "procedural", "image_size": SIDE, "world_seed": 1}, device)
    model = GeneratorFaceModel(
        generator, crop_for(generator, "two_eye", SIDE), network_of("slim", "slim_plain", device)
    )
    return moved(model, 3, batch_size=2, iterations=1)


@scenario("photographs of the embedded world")
def _(device):
    generator = load_generator({"family": "procedural", "image_size": SIDE, "world_seed": 1}, device)
    world = GenuineWorld(generator, SEED)
    items = [0, 1]
    return [torch.from_numpy(world.photograph(world.people(items), world.nuisance(items, 1.0, "scenario"), items))]


@scenario("within-class variations")
def _(device):
    model = face_model(device)
    latents = random_latents(model.generator, range(2), 0.7, SEED)
    settings = WithinClassSettings(iterations=1, variations=2)
    embeddings = BatchedFaceModel(model, 4, SEED).embed(latents, [0, 1])
    given = {"seed": SEED, "within_class": vectors("cpu", 3, "within"), "batch_size": 3}
    run = dispersion(model, latents, embeddings, settings, **given)
    return run.latents, run.embeddings


@scenario("random references")
def _(device):
    model = face_model(device)
    run = random_references(model, lambda items: random_latents(model.generator, items, 1.0, SEED), 4, batch_size=3)
    return run.latents, run.embeddings


def pairs_in_tiles(device, tile):
    embeddings, guard = vectors(device, 40, "crowd", 8), vectors(device, 30, "guard", 8)
    forces = pairwise_forces(embeddings, 1.0, 1.8, 1.4, tile=tile)
    others = neighbour_repulsion(embeddings[5:15], embeddings, 5, 1.0, 1.8, tile=tile)
    guarded = fixed_repulsion(embeddings, guard, 1.0, 1.8, tile=tile)
    statistics = torch.tensor([forces.angles.minimum, forces.angles.mean, forces.angles.maximum])
    return forces.energies, forces.gradients, *others, *guarded, statistics


@scenario("pairs and leak guard in few tiles")
def _(device):
    return pairs_in_tiles(device, 32)


@scenario("pairs and leak guard in many tiles")
def _(device):
    return pairs_in_tiles(device, 8)


for _repulsion in ("each", "closest"):

    @scenario(f"packing in literal mini-batches, {_repulsion}")
    def _(device, repulsion=_repulsion):
        return packed(device, batch=20, batch_neighbours="batch", repulsion=repulsion)


@scenario("packing in bfloat16")
def _(device):
    return packed(device, precision="bfloat16")


@scenario("faces for an inversion, and its starts")
def _(device):
    latents, embeddings = draw_faces(face_model(device), "gallery", 8, 0.7, SEED, 4)
    targets = vectors(device, 2, "targets")
    found = [
        starting_latents(targets, latents, embeddings, InversionSettings(start=start, attempts=2))
        for start in ("gallery", "regression")
    ]
    near = nearest(targets, embeddings, 3, tile=4)
    return latents, embeddings, *found, *near


@scenario("variations by noise on the embedding")
def _(device):
    model = face_model(device)
    latents = random_latents(model.generator, range(2), 0.7, SEED)
    embeddings = model.embed(latents)
    references = SampleCollection(
        latents=latents,
        embeddings=embeddings,
        identities=[0, 1],
        labels=["reference"] * 2,
        generator="g",
        recognition="n",
    )
    settings = {"seed": SEED, "truncation": 0.7, "variations": {"settings": {"variations": 2, "iterations": 1}}}
    found = inverted_variations(settings, model, references, 3, None)
    return found.latents, found.embeddings


@scenario("warm start")
def _(device):
    model = face_model(device, "fixed")
    fitted = fit_warm_start(model, WarmStartSettings(samples=20, pixel_side=4), seed=SEED, batch_size=8)
    images = 2 * uniform(SEED, "scenarios/photographs", range(3), (3, SIDE, SIDE)) - 1
    return fitted.weight, fitted.bias, fitted.starts(model, images, 2)


@scenario("projection with VGG16")
def _(device):
    drawn = torch.Generator().manual_seed(SEED)
    layers = [
        ((torch.rand(o, i, 3, 3, generator=drawn) - 0.5) / (2 * i) ** 0.5, torch.zeros(o)) for o, i in CONVOLUTIONS
    ]
    return projected(device, PerceptualFeatures(layers).to(device), iterations=1)


@scenario("projection with an FR network")
def _(device):
    features = pixels_and_embedding(face_model(device, "fixed", frame="generator"), 1.0, 0.1)
    return projected(device, features, iterations=1, space="w", noise_maps=False)


@scenario("embedding by each family")
def _(device):
    names = (("insightface", "iresnet18"), ("adaface", "ir_18"), ("slim", "slim_plain"))
    return [embed_images(network_of(*name, device, 16), photographs(3), 2, mirror=True) for name in names]


@scenario("a face model from files")
def _(device):
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "network.safetensors"
        save_backbone(weights, network_of("slim", "slim_plain", "cpu"))
        generator = {"family": "stylegan2", "random": STYLEGAN2, "seed": SEED, "noise": "random"}
        model = load_face_model(
            {"generator": generator, "network": {"template": "two_eye", "precision": "float32"}}, weights
        )
    latents = random_latents(model.generator, range(2), 0.7, SEED)
    return [model.embed(latents, NoiseKey(SEED, [0, 1], 3))]


@scenario("scores of a network")
def _(device):
    same = [True, False] * 6
    images = [png.encode(image) for image in photographs(2 * len(same))]
    with TemporaryDirectory() as folder:
        write_bin(Path(folder) / "pairs.bin", images, same)
        network = network_of("slim", "slim_plain", device)
        scores, pairs = score_network(network, {"pairs": Path(folder) / "pairs.bin"}, image_size=SIDE, batch_size=8)
    return [torch.from_numpy(pairs["pairs"].similarity), torch.tensor(scores["pairs"]["accuracy"])]


@scenario("training in bfloat16")
def _(device):
    return trained(device, precision="bfloat16")[:1]


@scenario("training with adamw and arcface")
def _(device):
    return trained(device, optimiser="adamw", head="arcface", learning_rate=0.001, shift=0.1)


@scenario("a whole training")
def _(device):
    settings = TrainingSettings(architecture="slim_plain", embedding_dim=8, epochs=2, batch_size=6, precision="float32")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        labels = [f"image_{number % 4}" for number in range(16)]
        write_image_shard(place / "a.arrow", "people", np.arange(16) // 4, labels, photographs(16))
        files = {name: place / name for name in ("output", "history", "checkpoint", "picture")}
        train_recognition(
            [place / "a.arrow"], settings, seed=SEED, image_size=SIDE, **files, state=place / "state", device=device
        )
        losses = np.loadtxt(files["history"], delimiter=",", skiprows=1)
        weights = read_weights(files["output"])
        again = load_backbone(files["output"], device=device)
    return [torch.from_numpy(losses), *weights.values(), embed_images(again, photographs(2))]


@scenario("a crop that shrinks, and its gradient")
def _(device):
    points = np.array([[20.0, 26.0], [44.0, 26.0]])
    crop = FixedCrop(points, points / 3, 64, 24).to(device)
    images = vectors(device, 2, "photographs", 3 * 64 * 64).view(2, 3, 64, 64).requires_grad_(True)
    cropped = crop(images)
    return cropped, *torch.autograd.grad(cropped.square().sum(), images)


@scenario("a training with sampled classes, by blocks")
def _(device):
    settings = TrainingSettings(
        architecture="slim_plain", embedding_dim=8, epochs=1, batch_size=6, precision="float32",
        class_sample_rate=0.7, erasing_probability=0.5, shuffle="blocks",
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        place = Path(folder)
        labels = [f"image_{number % 2}" for number in range(16)]
        write_image_shard(place / "a.arrow", "people", np.arange(16) // 2, labels, photographs(16))
        files = {name: place / name for name in ("output", "history", "checkpoint")}
        train_recognition(
            [place / "a.arrow"], settings, seed=SEED, image_size=SIDE, **files, keep="memory", device=device
        )
        head = torch.load(files["checkpoint"], weights_only=True)["state_dict"]["head.weight"]
        return [*read_weights(files["output"]).values(), head]


@scenario("MTCNN")
def _(device):
    torch.manual_seed(SEED)
    with torch.no_grad():
        networks = PNet(), RNet(), ONet()
        networks[0].conv4_1.bias.copy_(torch.tensor([-0.7, 0.0]))
        networks[1].dense5_1.bias[1] = networks[2].dense6_1.bias[1] = 5
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.pt" for name in ("pnet", "rnet", "onet")}
        for file, network in zip(files.values(), networks, strict=True):
            torch.save(network.state_dict(), file)
        cascade = detector({"family": "mtcnn", "files": files, "smallest_face": 12}, device)
    found = cascade.detect(photographs(1)[0])
    assert found
    return [torch.tensor([(*face.box, face.score) for face in found])]


@scenario("Arc2Face and latent diffusion")  # one import of diffusers, which takes seconds
def _(device):
    common = {"steps": 2, "precision": "float32", "seed": SEED}
    sizes = {"image_size": 16, "channels": 4}
    painter = load_generator(
        {**common, "family": "arc2face", "embedding_dim": 6, "random": {**sizes, "width": 8}}, device
    )
    images = painter.render_embeddings(F.normalize(vectors(device, 2, "faces", 6)), NoiseKey(SEED, [0, 1], None))
    generator = load_generator({**common, "family": "ldm", "random": sizes}, device)
    latents = random_latents(generator, range(2), 1.0, SEED)
    return images, latents, generator.render(latents)
