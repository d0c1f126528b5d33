"""Arc2Face with tiny random weights in the published layout: no published file is needed, none was seen."""

import itertools
import json
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from torch.nn import functional as F

from brownid.facemodel.loading import load_generator
from brownid.generators.diffusion import components
from brownid.generators.diffusion.text_encoder import PROMPT, IdentityEncoder, prompt_tokens
from brownid.generators.protocol import EmbeddingConditionedGenerator, Generator
from brownid.generators.settings import SCHEDULERS
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import NoiseKey
from brownid.weights.catalogue import arc2face_files

pytestmark = [
    pytest.mark.xdist_group("diffusers"),  # one import of diffusers, which takes seconds
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # its schedulers and NumPy 2
]

SIZES = {"image_size": 16, "channels": 4, "width": 8}
COMMON = {"family": "arc2face", "embedding_dim": 6, "steps": 3, "precision": "float32"}
SPEC = {**COMMON, "random": SIZES, "seed": 1}
# As Stable Diffusion 1.5 publishes it.
SCHEDULE = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE |= {"beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "set_alpha_to_one": False}
SCHEDULE |= {"skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False}
WORDS = [*(f"{word}</w>" for word in PROMPT.split()), "<|startoftext|>", "<|endoftext|>"]
VOCABULARY = {word: number for number, word in enumerate(WORDS)}
NOISE_KEY = NoiseKey(5, [10, 11, 12], None)


@pytest.fixture(scope="module")
def generator():
    return load_generator(SPEC)


@pytest.fixture(scope="module")
def embeddings():
    return F.normalize(torch.randn(3, 6, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.fixture(scope="module")
def images(generator, embeddings):
    return generator.render_embeddings(embeddings, NOISE_KEY)


@pytest.fixture(scope="module")
def published(generator, tmp_path_factory):
    """The generator in the published layout: the spec of its folders."""
    folder, base = (tmp_path_factory.mktemp(name) for name in ("arc2face", "base"))
    generator.unet.save_pretrained(folder / "arc2face")
    generator.vae.save_pretrained(base / "vae")
    (folder / "encoder").mkdir()
    described = {**generator.encoder.text.config.to_dict(), "architectures": ["CLIPTextModelWrapper"]}
    (folder / "encoder" / "config.json").write_text(json.dumps(described))
    tensors = {f"text_model.{name}": tensor for name, tensor in generator.encoder.text.state_dict().items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(8)[None]  # in files before transformers 4.31
    torch.save(tensors, folder / "encoder" / "pytorch_model.bin")
    for path, content in (("tokenizer/vocab.json", VOCABULARY), ("scheduler/scheduler_config.json", SCHEDULE)):
        (base / path).parent.mkdir()
        (base / path).write_text(json.dumps(content))
    return {**COMMON, "folder": str(folder), "base": str(base)}


@pytest.fixture
def copied(published, tmp_path):
    """The published layout once more, to be damaged: its spec and its two folders."""
    folder = shutil.copytree(published["folder"], tmp_path / "arc2face")
    base = shutil.copytree(published["base"], tmp_path / "base")
    return {**published, "folder": str(folder), "base": str(base)}, folder, base


def test_the_published_layout_gives_the_images_of_the_networks_that_were_saved(published, images, embeddings):
    loaded = load_generator(published)
    assert torch.equal(loaded.render_embeddings(embeddings, NOISE_KEY), images)
    assert all(os.path.isfile(file) for file in arc2face_files(published)) and len(arc2face_files(published)) == 8
    assert arc2face_files(SPEC) == []


def test_the_pipeline_of_diffusers_gives_the_same_images(published, images, embeddings):
    from diffusers import DPMSolverMultistepScheduler, PNDMScheduler, StableDiffusionPipeline

    loaded = load_generator(published)
    base = PNDMScheduler.from_pretrained(published["base"], subfolder="scheduler")
    pipeline = StableDiffusionPipeline(
        vae=loaded.vae,
        unet=loaded.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(base.config),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=loaded.encoder(embeddings),
        negative_prompt_embeds=loaded.encoder.unconditional().expand(3, -1, -1),
        latents=NOISE_KEY.normal("arc2face/noise", (4, 8, 8)),
        height=16,
        width=16,
        num_inference_steps=3,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    torch.testing.assert_close(images / 2 + 0.5, theirs, atol=1e-5, rtol=0)


def test_safetensors_of_the_text_encoder_and_old_names_of_attention_are_read_too(copied, images, embeddings):
    spec, folder, base = copied
    loaded = load_generator(spec)
    (folder / "encoder" / "pytorch_model.bin").unlink()
    loaded.encoder.text.save_pretrained(folder / "encoder")
    tensors = loaded.vae.state_dict()
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        tensors = {name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): t for name, t in tensors.items()}
    assert "decoder.mid_block.attentions.0.query.weight" in tensors
    (base / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(tensors, base / "vae" / "diffusion_pytorch_model.bin")
    assert torch.equal(load_generator(spec).render_embeddings(embeddings, NOISE_KEY), images)
    assert [file.rpartition(".")[2] for file in arc2face_files(spec)[1:6:2]] == ["safetensors", "safetensors", "bin"]


def test_the_word_itself_in_its_place_gives_what_the_text_model_says_of_the_prompt(generator):
    text = generator.encoder.text
    encoder = IdentityEncoder(text, VOCABULARY, 8)
    word = text.get_input_embeddings().weight[VOCABULARY["id</w>"]]
    said = text(input_ids=torch.tensor([prompt_tokens(PROMPT, VOCABULARY, 8)])).last_hidden_state
    torch.testing.assert_close(encoder(word[None]), said)
    torch.testing.assert_close(encoder.unconditional(), text(input_ids=torch.tensor([[5] + [6] * 7])).last_hidden_state)


def test_only_words_from_the_embedding_on_hear_of_it_and_zeros_fill_it_up(generator, embeddings):
    said = generator.encoder(embeddings)
    assert torch.equal(said[0, :4], said[1, :4]) and not torch.isclose(said[0, 4:], said[1, 4:]).all(dim=1).any()
    whole = IdentityEncoder(generator.encoder.text, VOCABULARY, 8)
    torch.testing.assert_close(whole(F.pad(embeddings, (0, 2))), said)


def test_the_prompt_has_the_numbers_that_the_tokenizer_of_clip_gives_it(tmp_path):
    from transformers import CLIPTokenizer

    vocabulary, merges = dict(VOCABULARY), []
    for word in PROMPT.split():  # one letter after the other joins the word
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        merges += [f"{''.join(pieces[:count])} {pieces[count]}" for count in range(1, len(pieces))]
        for piece in [*pieces, *("".join(pieces[:count]) for count in range(1, len(pieces) + 1))]:
            vocabulary.setdefault(piece, len(vocabulary))
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *dict.fromkeys(merges)]))
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for prompt in (PROMPT, ""):
        theirs = tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids
        assert prompt_tokens(prompt, vocabulary, 77) == theirs


def test_an_image_depends_on_its_embedding_and_address_and_not_on_its_batch(generator, images, embeddings):
    alone = generator.render_embeddings(embeddings[1:2], NOISE_KEY.rows(slice(1, 2)))
    torch.testing.assert_close(alone, images[1:2], atol=1e-4, rtol=0)
    assert images.shape == (3, 3, 16, 16) and images.min() >= -1 and images.max() <= 1
    others = [
        generator.render_embeddings(embeddings[2:], NOISE_KEY.rows(slice(1, 2))),
        *(generator.render_embeddings(embeddings[1:2], NoiseKey(*a)) for a in ((5, [12], None), (6, [11], None))),
        generator.render_embeddings(embeddings[1:2], NoiseKey(5, [11], 0)),
    ]
    assert all((other - alone).abs().max() > 0.05 for other in others)


def test_guidance_doubles_the_batch_and_a_scale_of_one_leaves_it_out(generator, embeddings):
    free = load_generator({**SPEC, "guidance_scale": 1.0})
    sizes = []
    for network in (generator.unet, free.unet):
        hook = network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
        (generator if network is generator.unet else free).render_embeddings(embeddings, NOISE_KEY)
        hook.remove()
    assert sizes == [6, 6, 6, 3, 3, 3]


def test_every_scheduler_renders_and_draws_no_noise_of_its_own(generator, embeddings):
    images = []
    for name in ("dpmsolver++", "ddim", "euler", "unipc"):
        chosen = load_generator({**SPEC, "scheduler": name})
        first, again = (chosen.render_embeddings(embeddings[:1], NOISE_KEY.rows(slice(0, 1))) for _ in range(2))
        assert torch.equal(first, again) and first.isfinite().all()
        images.append(first)
    assert all((one - other).abs().max() > 0.001 for one, other in itertools.pairwise(images))


def test_a_batch_that_failed_on_the_way_leaves_nothing_behind(generator, images, embeddings):
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    hook = generator.unet.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError):
        generator.render_embeddings(embeddings, NOISE_KEY)
    hook.remove()
    assert torch.equal(generator.render_embeddings(embeddings, NOISE_KEY), images)


def test_bfloat16_renders_nearly_the_same_images_in_float32(embeddings):
    whole, near = (
        load_generator({**SPEC, "precision": precision}).render_embeddings(embeddings, NOISE_KEY)
        for precision in ("float32", "bfloat16")
    )
    assert near.dtype == torch.float32 and not torch.equal(near, whole)
    assert (near - whole).abs().mean() < 0.1 * (whole - whole.roll(1, 0)).abs().mean()


def test_it_is_an_embedding_conditioned_generator_and_eyes_and_side_are_settings(generator):
    assert (
        isinstance(generator, EmbeddingConditionedGenerator)
        and generator.embedding_conditioned
        and generator.needs_noise_key
    )
    assert not isinstance(generator, Generator) and (generator.embedding_dim, generator.resolution) == (6, 16)
    assert generator.eyes == ((385.5 / 64 - 0.5, 485.5 / 64 - 0.5), (638.5 / 64 - 0.5, 487.5 / 64 - 0.5))
    larger = load_generator({**SPEC, "image_size": 24, "eyes": [[8, 9], [15, 9.5]]})
    assert larger.eyes == ((8.0, 9.0), (15.0, 9.5))
    assert larger.render_embeddings(F.normalize(torch.ones(1, 6)), NoiseKey(1, [0], None)).shape == (1, 3, 24, 24)


def test_every_scheduler_that_can_be_chosen_is_known():
    assert tuple(components.SCHEDULERS) == SCHEDULERS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": "somewhere"}, "either 'folder'"),
        ({"random": None, "seed": None, "folder": "somewhere"}, "either 'folder'"),
        ({"seed": None}, "needs a 'seed'"),
        ({"random": {"depth": 3}}, "random: there is no setting 'depth'"),
        ({"random": {"image_size": 18}}, "Sizes.image_size is 18, .* a multiple of 4"),
        ({"random": {"width": 5}}, "5 numbers a word, which cannot hold an embedding of 6"),
        ({"scheduler": "heun"}, "scheduler is 'heun', but must be one of dpmsolver"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 1001}, "steps is 1001, .* at most 1000"),
        ({"guidance_scale": 0.5}, "guidance_scale is 0.5"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"image_size": 22}, "image_size is 22, .* a multiple of 4"),
        ({"embedding_dim": True}, "embedding_dim is True"),
        ({"eyes": [[9, 5], [2, 5]]}, r"eyes are \[\[9, 5\], \[2, 5\]\]"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"noise": "item"}, "there is no setting 'noise'"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(changes, message):
    with pytest.raises(BrownidError, match=message):
        load_generator({**SPEC, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[:, :5], r"shape \[3, 5\] do not fit this Arc2Face: it takes \[batch, 6\]"),
        (lambda e: e * torch.tensor([[1.0], [0.5], [1.0]]), "Row 1 of the embeddings has the length 0.5"),
        (lambda e: e / torch.tensor([[1.0], [1.0], [float("nan")]]), "Row 2 of the embeddings has the length nan"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused_in_a_sentence(generator, embeddings, change, message):
    with pytest.raises(BrownidError, match=message):
        generator.render_embeddings(change(embeddings), NOISE_KEY)


def test_a_missing_file_is_named_with_the_page_that_publishes_it(copied):
    spec, folder, _ = copied
    for file in arc2face_files(spec):
        os.rename(file, f"{file}.away")
        page = "FoivosPar/Arc2Face" if file.startswith(str(folder)) else "stable-diffusion-v1-5/stable-diffusion-v1-5"
        with pytest.raises(BrownidError, match=f"^{file}: cannot read the .*: No such file.*{page} publishes it"):
            load_generator(spec)
        os.rename(f"{file}.away", file)


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("arc2face/arc2face/config.json", {"_class_name": "UNet2DModel"}, "a UNet2DModel, where a UNet2DConditionMod"),
        ("arc2face/arc2face/config.json", {"down_block_types": ["Odd"]}, "no UNet2DConditionModel can be made of it"),
        ("arc2face/arc2face/config.json", {"layers_per_block": 2}, r"safetensors: the weights do not fit.* missing"),
        ("arc2face/encoder/config.json", {"model_type": "t5"}, "a t5, where a clip_text_model is needed"),
        ("arc2face/encoder/config.json", {"hidden_size": -3}, "no CLIP text model can be made of it"),
        ("arc2face/encoder/config.json", {"vocab_size": 9}, r"bin: the weights do not fit.*of another shape"),
        ("base/vae/config.json", {"_class_name": None}, "a None, where a AutoencoderKL is needed"),
        ("base/tokenizer/vocab.json", {"id</w>": None}, "vocabulary lacks 'id</w>'"),
        ("base/tokenizer/vocab.json", {"id</w>": 7}, "knows 7 words, its vocabulary more"),
        ("base/scheduler/scheduler_config.json", {"beta_schedule": "odd"}, "dpmsolver.. cannot be made"),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_refused_in_a_sentence(copied, tmp_path, path, change, message):
    described = json.loads((tmp_path / path).read_text()) | change
    (tmp_path / path).write_text(json.dumps({key: value for key, value in described.items() if value is not None}))
    with pytest.raises(BrownidError, match=message):
        load_generator(copied[0])


@pytest.mark.parametrize(
    ("folder", "width", "message"),
    [("arc2face/arc2face", 12, "listens to 12 numbers a word, its text encoder says 8"), ("base/vae", 8, "decodes 3")],
)
def test_networks_that_do_not_belong_together_are_refused(copied, tmp_path, folder, width, message):
    if folder == "base/vae":
        config = {**json.loads((tmp_path / folder / "config.json").read_text()), "latent_channels": 3}
        network = components.build_network("AutoencoderKL", config)
    else:
        network = load_generator({**SPEC, "random": {**SIZES, "width": width}}).unet
    network.save_pretrained(tmp_path / folder)
    with pytest.raises(BrownidError, match=message):
        load_generator(copied[0])


class Trap:
    """Would make a folder if a file that names it were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_weights_that_name_code_are_refused_and_nothing_runs(copied, tmp_path):
    spec, folder, _ = copied
    torch.save({"trap": Trap(str(tmp_path / "sprung"))}, folder / "encoder" / "pytorch_model.bin")
    with pytest.raises(BrownidError, match=r"pytorch_model\.bin: refused as weights: .*mkdir"):
        load_generator(spec)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("arc2face/arc2face/diffusion_pytorch_model.safetensors", b"no tensors", "damaged safetensors file"),
        ("arc2face/encoder/config.json", b"{", "no JSON that can be read"),
        ("base/tokenizer/vocab.json", b"[1]", "holds no named settings"),
    ],
)
def test_a_damaged_file_is_named(copied, tmp_path, path, content, message):
    (tmp_path / path).write_bytes(content)
    with pytest.raises(BrownidError, match=f"{path}: {message}"):
        load_generator(copied[0])


def test_without_diffusers_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(components.importlib, "import_module", lambda name: __import__(f"no_{name}"))
    with pytest.raises(BrownidError, match=r"need transformers, which.*-m pip install diffusers transformers`\.$"):
        load_generator(SPEC)


def test_random_weights_are_the_same_in_every_process(embeddings, images):
    torch.rand(7)  # whatever came before
    assert torch.equal(load_generator(SPEC).render_embeddings(embeddings, NOISE_KEY), images)
