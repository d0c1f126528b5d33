"""Small runs of each algorithm on random networks, the same on any device: CPU and GPU must agree.

`brownid doctor --device` runs them on a GPU against the CPU, the tests on a simulated GPU. A scenario takes the device
and returns tensors there or on the CPU. Nothing is read and nothing is downloaded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from brownid.covariates.features import pixel_pyramid
from brownid.covariates.projection import project
from brownid.covariates.settings import ProjectionSettings
from brownid.dynamics.baselines import reject_references, repulse_references
from brownid.dynamics.dispersion import dispersion
from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import DispersionSettings, LangevinSettings, RejectSettings, RepulseSettings
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import crop_for, latent_std, load_generator, random_latents, render_in_batches
from brownid.facemodel.model import GeneratorFaceModel
from brownid.generators.protocol import Generator
from brownid.hyperface.inversion import invert
from brownid.hyperface.packing import pack
from brownid.hyperface.settings import LatentOptimizationSettings, PackingSettings
from brownid.jobs.resume import StateFile
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import embed_images
from brownid.runtime.randomness import NoiseKey, normal, uniform
from brownid.training.augmentation import draws
from brownid.training.data import Batch
from brownid.training.module import Optimiser, RecognitionModule, learning_rate
from brownid.training.settings import TrainingSettings

Scenario = Callable[[str], Sequence[Tensor]]
SCENARIOS: dict[str, Scenario] = {}
WIDTH, SIDE, SEED = 64, 32, 1  # of embeddings; of images, pixels; of everything random
STYLEGAN2 = {"resolution": SIDE, "channel_base": 512, "channel_max": 32, "latent_dim": 64, "mapping_layers": 2}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """Enter a function in `SCENARIOS`."""

    def enter(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return enter


def face_model(
    device: str, noise: str = "off", *, precision: str = "float32", network: str = "float32", frame: str = "network"
) -> GeneratorFaceModel:
    """A small StyleGAN2 with a small slim network; random weights."""
    spec = {"family": "stylegan2", "random": STYLEGAN2, "seed": SEED, "noise": noise, "precision": precision}
    generator = cast(Generator, load_generator(spec, device))
    for name, strength in cast(torch.nn.Module, generator).state_dict().items():
        if name.endswith("noise_strength"):
            strength.fill_(0.2)  # training begins with 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        recognition = backbone("slim", "slim_iresnet", SIDE, WIDTH).eval()
    return GeneratorFaceModel(
        generator, crop_for(generator, "two_eye", SIDE), recognition.to(device), network, frame=frame
    )


def starting_latents(generator: Generator, count: int) -> Tensor:
    """Latents of the first identities."""
    return random_latents(generator, range(count), 0.7, SEED)


def vectors(device: str, count: int, purpose: str, width: int = WIDTH) -> Tensor:
    """Normal vectors `[count, width]`."""
    return normal(SEED, f"scenarios/{purpose}", range(count), (width,)).to(device)


def moved(
    model: GeneratorFaceModel,
    count: int = 6,
    *,
    batch_size: int = 4,
    state: StateFile | None = None,
    **settings: Any,
) -> Sequence[Tensor]:
    """Two iterations of Langevin with a leak guard, in batches."""
    given = LangevinSettings.of(
        {"iterations": 2, "repulsion_radius": 2.0, "fixed_distance": 1.6, **settings}, "scenario"
    )
    guard = vectors("cpu", 7, "guard")  # as from a file
    run = langevin(
        model,
        starting_latents(model.generator, count),
        given,
        seed=SEED,
        fixed_embeddings=guard,
        batch_size=batch_size,
        state=state,
    )
    return run.latents, run.embeddings, _numbers(run.statistics)


def _numbers(statistics: Mapping[str, Any]) -> Tensor:
    return torch.stack([torch.as_tensor(values) for values in statistics.values()])


@scenario("langevin")
def _langevin(device: str) -> Sequence[Tensor]:
    return moved(face_model(device, "fixed"))


@scenario("langevin with random noise maps")
def _langevin_noise(device: str) -> Sequence[Tensor]:
    return moved(face_model(device, "random"), 5)


@scenario("langevin, neighbours of the previous pass")
def _langevin_previous(device: str) -> Sequence[Tensor]:
    return moved(face_model(device), neighbours="previous")


@scenario("langevin in bfloat16")
def _langevin_bfloat16(device: str) -> Sequence[Tensor]:
    return moved(face_model(device, precision="bfloat16", network="bfloat16"))[1:2]


@scenario("disco")
def _disco(device: str) -> Sequence[Tensor]:
    model = face_model(device, "fixed")
    latents = starting_latents(model.generator, 3)
    run = dispersion(
        model,
        latents,
        BatchedFaceModel(model, 4, SEED).embed(latents, [0, 1, 2]).cpu(),
        DispersionSettings(iterations=2, variations=3, timestep=-0.3),
        seed=SEED,
        covariates=vectors("cpu", 3, "covariates"),
        batch_size=4,
    )
    return run.latents, run.embeddings, _numbers(run.statistics)


@scenario("reject and repulse")
def _baselines(device: str) -> Sequence[Tensor]:
    model, guard = face_model(device), vectors("cpu", 5, "guard")

    def draw(items: Sequence[int]) -> Tensor:
        return random_latents(model.generator, items, 1.0, SEED)

    rejected = reject_references(model, draw, 4, RejectSettings(ict=0.05), batch_size=4)
    settings = RepulseSettings(ict=0.3, steps=2, repulsion_radius=0.6, candidates_per_reference=30)
    repulsed = repulse_references(model, draw, 4, settings, fixed_embeddings=guard, batch_size=4)
    return rejected.latents, rejected.embeddings, repulsed.latents, repulsed.embeddings


@scenario("packing")
def _packing(device: str) -> Sequence[Tensor]:
    return packed(device)


@scenario("packing in mini-batches")
def _packing_batches(device: str) -> Sequence[Tensor]:
    return packed(device, batch=20)


def packed(device: str, **settings: Any) -> Sequence[Tensor]:
    """Nine iterations of a packing near a gallery."""
    given = PackingSettings.of({"iterations": 9, "record_every": 4, "precision": "float32", **settings}, "scenario")
    run = pack(vectors(device, 60, "start", 16), vectors("cpu", 90, "gallery", 16), given, seed=SEED, tile=32)
    return run.references, _numbers(run.statistics)


@scenario("inversion")
def _inversion(device: str) -> Sequence[Tensor]:
    model = face_model(device, "fixed")
    starts = starting_latents(model.generator, 6).unflatten(0, (3, 2))
    settings = LatentOptimizationSettings(2, 0.1, latent_weight=0.1)
    std = latent_std(starts.flatten(0, 1))
    run = invert(model, vectors("cpu", 3, "targets"), starts, settings, seed=SEED, latent_std=std, batch_size=4)
    return run.latents, run.embeddings, run.angles, run.attempts


@scenario("projection")
def _projection(device: str) -> Sequence[Tensor]:
    return projected(device, pixel_pyramid(3), iterations=3)


def projected(device: str, features: Callable[[Tensor], Tensor], **settings: Any) -> Sequence[Tensor]:
    """Iterations of a projection into W+ with noise maps."""
    model = face_model(device, "fixed", frame="generator")
    given = {"space": "w_plus", "noise_maps": True, "maximum_loss": None, **settings}
    targets = 2 * uniform(SEED, "scenarios/photographs", range(3), (3, SIDE, SIDE)) - 1
    run = project(
        model,
        targets,
        model.latent_mean,
        ProjectionSettings.of(given, "scenario"),
        features=features,
        seed=SEED,
        items=[0, 1, 2],
        latent_std=1.0,
        batch_size=2,
    )
    return run.latents, run.losses


@scenario("rendering")
def _rendering(device: str) -> Sequence[Tensor]:
    model = face_model(device, "random")
    images = render_in_batches(
        model.generator, model.crop, starting_latents(model.generator, 5), NoiseKey(SEED, range(5), None)
    )
    return [torch.from_numpy(part) for part in images]


@scenario("embedding")
def _embedding(device: str) -> Sequence[Tensor]:
    network = face_model(device).network
    images = (255 * uniform(SEED, "scenarios/photographs", range(5), (SIDE, SIDE, 3))).to(torch.uint8)
    return [embed_images(network, images.numpy(), batch_size=3, mirror=True)]


@scenario("training")
def _training(device: str) -> Sequence[Tensor]:
    return trained(device)


def trained(device: str, steps: int = 2, **settings: Any) -> Sequence[Tensor]:
    """Steps of a training with all augmentations."""
    chosen: dict[str, Any] = {
        "family": "slim",
        "architecture": "slim_iresnet",
        "embedding_dim": WIDTH,
        "precision": "float32",
    }
    given = TrainingSettings(**{**chosen, "epochs": 1, **settings})
    module = RecognitionModule(given, classes=5, image_size=SIDE, seed=SEED, precision=given.precision).to(device)
    optimiser, losses = Optimiser(module, given), []
    for step in range(steps):
        images = range(8 * step, 8 * step + 8)
        pixels = (255 * uniform(SEED, "scenarios/photographs", images, (SIDE, SIDE, 3))).to(torch.uint8)
        batch = Batch(pixels, torch.arange(8) % 5, draws(SEED, images, 0), slice(0, 8), step).to(device)
        outcome = module(batch)
        outcome.objective.backward()
        optimiser.step(step, learning_rate(given, step, steps))
        losses.append(outcome.loss)
    return torch.stack(losses), module.head.weight.detach()
