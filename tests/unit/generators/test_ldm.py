"""Unconditional latent diffusion with tiny random weights in the published layout."""

import json
import os
import re
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

from brownid.facemodel.loading import load_generator
from brownid.generators.diffusion.components import build_network
from brownid.generators.protocol import Generator
from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import ldm_files

pytestmark = [
    pytest.mark.xdist_group("diffusers"),  # one import of diffusers, which takes seconds
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # its schedulers and NumPy 2
]

COMMON = {"family": "ldm", "steps": 3, "precision": "float32"}
SPEC = {**COMMON, "random": {"image_size": 16, "channels": 4}, "seed": 2}
SCHEDULE = {"_class_name": "DDIMScheduler", "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}
SCHEDULE |= {"clip_sample": False, "num_train_timesteps": 1000}


@pytest.fixture(scope="module")
def generator():
    return load_generator(SPEC)


@pytest.fixture(scope="module")
def latents(generator):
    return generator.map(torch.randn(3, generator.latent_dim, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def images(generator, latents):
    return generator.render(latents)


@pytest.fixture
def folder(generator, tmp_path):
    """The generator in the published layout, whose decoder does not say what latent images are divided by."""
    generator.unet.save_pretrained(tmp_path / "unet")
    generator.vqvae.save_pretrained(tmp_path / "vqvae")
    described = json.loads((tmp_path / "vqvae" / "config.json").read_text())
    del described["scaling_factor"]
    (tmp_path / "vqvae" / "config.json").write_text(json.dumps(described))
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULE))
    return tmp_path


def test_it_is_a_generator_whose_latent_is_its_noise(generator, latents, images):
    assert isinstance(generator, Generator) and not generator.differentiable
    assert (generator.latent_dim, generator.resolution, images.shape) == (3 * 8 * 8, 16, (3, 3, 16, 16))
    assert torch.equal(generator.map(latents, 0.5), latents / 2) and not generator.latent_mean.any()
    assert images.min() >= -1 and images.max() <= 1 and not images.requires_grad
    assert generator.eyes[0] == (385.5 / 64 - 0.5, 485.5 / 64 - 0.5) and len(generator.landmarks) == 5


def test_an_image_depends_on_its_latent_and_not_on_its_batch(generator, latents, images):
    torch.testing.assert_close(generator.render(latents[1:2]), images[1:2], atol=1e-4, rtol=0)
    assert (images[0] - images[1]).abs().max() > 0.05


def test_the_published_layout_gives_the_images_of_the_networks_that_were_saved(folder, latents, images):
    spec = {**COMMON, "folder": str(folder)}
    assert torch.equal(load_generator(spec).render(latents), images)
    assert len(ldm_files(spec)) == 5 and all(os.path.isfile(file) for file in ldm_files(spec)) and not ldm_files(SPEC)


def test_the_pipeline_of_diffusers_gives_the_same_images(generator, latents, images):
    from diffusers import DDIMScheduler, LDMPipeline

    generator.vqvae.register_to_config(scaling_factor=1.0)
    pipeline = LDMPipeline(generator.vqvae, generator.unet, DDIMScheduler.from_config(SCHEDULE))
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(3, torch.Generator().manual_seed(1), num_inference_steps=3, output_type="np").images
    torch.testing.assert_close(images / 2 + 0.5, torch.from_numpy(theirs).movedim(-1, 1), atol=1e-5, rtol=0)


def test_what_latents_are_divided_by_is_read_or_given(folder, latents, images):
    described = json.loads((folder / "vqvae" / "config.json").read_text())
    (folder / "vqvae" / "config.json").write_text(json.dumps({**described, "scaling_factor": 0.25}))
    spec = {**COMMON, "folder": str(folder)}
    assert load_generator(spec).scale == 0.25
    assert torch.equal(load_generator({**spec, "scaling_factor": 1.0}).render(latents), images)


def test_the_decoder_may_be_a_variational_one(folder, latents):
    shutil.rmtree(folder / "vqvae")
    vae = {"block_out_channels": [4, 8], "norm_num_groups": 4, "latent_channels": 3}
    vae |= {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    build_network("AutoencoderKL", vae).save_pretrained(folder / "vqvae")
    loaded = load_generator({**COMMON, "folder": str(folder)})
    assert loaded.scale == 0.18215 and loaded.render(latents).shape == (3, 3, 16, 16)


def test_bfloat16_renders_in_float32(latents, images):
    near = load_generator({**SPEC, "precision": "bfloat16"}).render(latents)
    assert near.dtype == torch.float32 and not torch.equal(near, images)
    # rounding moves some latent pixels to another word of the codebook
    assert (near - images).abs().mean() < 0.4 * (images - images.roll(1, 0)).abs().mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": "somewhere"}, "either 'folder'"),
        ({"seed": None}, "needs a 'seed'"),
        ({"random": {"width": 4}}, "random: there is no setting 'width'"),
        ({"random": {"image_size": 10}}, "Sizes.image_size is 10"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2000}, "steps is 2000, but must be a whole number, at least 1 and at most 1000"),
        ({"scaling_factor": -1.0}, "scaling_factor is -1.0"),
        ({"eyes": [[1, 2]]}, r"eyes are \[\[1, 2\]\]"),
        ({"random": None, "seed": None, "folder": "nowhere"}, r"nowhere/vqvae/config\.json: cannot read the file"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(changes, message):
    with pytest.raises(BrownidError, match=message):
        load_generator({**SPEC, **changes})


def test_latents_and_networks_that_do_not_fit_are_refused_in_a_sentence(generator, folder):
    with pytest.raises(BrownidError, match=r"shape \[2, 5\] do not fit this latent diffusion model"):
        generator.render(torch.zeros(2, 5))
    described = json.loads((folder / "unet" / "config.json").read_text())
    build_network("UNet2DModel", {**described, "in_channels": 4}).save_pretrained(folder / "unet")
    with pytest.raises(BrownidError, match="turns 4 channels into 3, its vqvae decodes 3"):
        load_generator({**COMMON, "folder": str(folder)})


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("scheduler/scheduler_config.json", {"beta_start": None}, "beta_start is missing"),
        ("scheduler/scheduler_config.json", {"prediction_type": "foo"}, "prediction_type 'foo' is none of epsilon"),
        ("unet/config.json", {"sample_size": "x"}, "something in the .json files makes no generator"),
        ("vqvae/config.json", {"scaling_factor": -1}, "scaling_factor is -1"),
    ],
)
def test_settings_of_the_files_that_make_no_generator_are_one_sentence(folder, tmp_path, file, change, message):
    copy = shutil.copytree(folder, tmp_path / "ldm")
    content = {**json.loads((copy / file).read_text()), **change}
    (copy / file).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(BrownidError, match=re.escape(message)):
        load_generator({"family": "ldm", "folder": str(copy), "steps": 2})


def test_random_weights_are_the_same_in_every_process(latents, images):
    torch.rand(7)  # whatever came before
    assert torch.equal(load_generator(SPEC).render(latents), images)
