"""Variations and images: every algorithm, shards that do not show in the result, shards that do not fit together."""

import numpy as np
import pytest
import torch
from tiny_world import FACE_MODEL, IDENTITIES, SIDE

from brownid.covariates.within_class import fit_within_class, load_within_class, save_within_class
from brownid.facemodel import loading as facemodel_loading
from brownid.facemodel.loading import load_face_model
from brownid.recognition.embedding import as_bytes
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import NoiseKey, image_items
from brownid.samples.collection import SampleCollection, shard_of, variation_label
from brownid.samples.images import ImageShards
from brownid.samples.statistics import load_statistics
from merge_variations import merge_variations
from render_images import render_images
from vary_references import vary_references

COUNT = 2
DISPERSION = {"algorithm": "dispersion", "settings": {"variations": COUNT, "iterations": 2}}
DISCO = DISPERSION | {"algorithm": "disco", "covariate_scales": {"pose": 1.0, "smile": 0.5}}
WITHIN_CLASS = DISPERSION | {"algorithm": "within_class"}
EDITING = {"algorithm": "covariates", "settings": {"steps": 2}}


@pytest.fixture
def vary(tmp_path, references, weights, covariates, within_class):
    """A function that varies the references in some shards and returns the shards' paths and the merged collection."""

    def run(entry, shards, dropped=(), spoil=lambda paths: None):
        settings = FACE_MODEL | {"variations": entry}
        paths = [tmp_path / f"{shard}-of-{shards}.h5" for shard in range(1, shards + 1)]
        used = {"dispersion": None, "within_class": within_class}.get(entry["algorithm"], covariates)
        for number, path in enumerate(paths, start=1):
            options = {"shard": number, "shards": shards, "samples": path, "statistics": path.with_suffix(".stats")}
            vary_references(settings, references=references, weights=weights, covariates=used, **options)
        spoil(paths)
        kept = [path for number, path in enumerate(paths, start=1) if number not in dropped]
        merged = tmp_path / f"merged-{shards}.h5"
        merge_variations(
            settings,
            shard_samples=kept,
            shard_statistics=[path.with_suffix(".stats") for path in kept],
            references=references,
            weights=weights,
            covariates=None,
            generator=[],
            samples=merged,
            statistics=merged.with_suffix(".stats"),
            command=tmp_path / "command.yml",
        )
        return merged

    return run


def test_shards_count_from_one_and_are_equal_to_within_one_item():
    parts = [shard_of(list(range(8)), shard, 3) for shard in (1, 2, 3)]
    assert parts == [[0, 1], [2, 3, 4], [5, 6, 7]]
    for shard in (0, 4):
        with pytest.raises(BrownidError, match=f"no shard {shard} of 3"):
            shard_of(list(range(8)), shard, 3)


@pytest.mark.parametrize("entry", [DISPERSION, DISCO, WITHIN_CLASS, EDITING], ids=lambda entry: entry["algorithm"])
def test_three_shards_give_the_variations_that_one_gives(vary, entry):
    paths = [vary(entry, shards) for shards in (1, 3)]
    whole, parts = (SampleCollection.load(path) for path in paths)
    assert len(whole) % IDENTITIES == 0 and whole.labels == parts.labels
    np.testing.assert_array_equal(whole.identities, parts.identities)
    np.testing.assert_allclose(whole.latents, parts.latents, atol=1e-3)
    np.testing.assert_allclose(whole.embeddings, parts.embeddings, atol=1e-3)
    first, second = (load_statistics(path.with_suffix(".stats")) for path in paths)
    np.testing.assert_allclose(first["refd_avg"], second["refd_avg"], atol=1e-3)


def test_disco_and_dispersion_differ_by_the_covariates(vary):
    plain, moved = (SampleCollection.load(vary(entry, 1)) for entry in (DISPERSION, DISCO))
    assert np.abs(plain.latents - moved.latents).max() > 0.05


def test_within_class_variations_start_in_the_leading_directions_of_the_covariance(vary, within_class, references):
    """Without a step, those of the share that is asked for alone, as far as the scale says."""
    start = {"variations": COUNT, "iterations": 0, "variance_share": 0.5}
    near, far = (
        SampleCollection.load(vary(WITHIN_CLASS | {"settings": start | {"within_class_scale": scale}}, 1)).latents
        - np.repeat(SampleCollection.load(references).latents, COUNT, axis=0)
        for scale in (1.0, 2.0)
    )
    np.testing.assert_allclose(far, 2 * near, atol=1e-5)
    directions = load_within_class(within_class).directions
    leading = len(load_within_class(within_class).root(0.5))
    along = near @ directions.T
    assert 0 < leading < len(directions) and np.abs(along[:, :leading]).min() > 1e-3
    assert np.abs(near - along[:, :leading] @ directions[:leading]).max() < 1e-5


def test_a_missing_identity_is_named_and_nothing_is_merged(vary, tmp_path):
    with pytest.raises(BrownidError, match=r"of the 5 identities expected, none of .* has 1, 2: make"):
        vary(DISPERSION, 3, dropped=[2])
    assert not (tmp_path / "merged-3.h5").exists()


def test_a_label_that_all_shards_lack_is_missed(vary, tmp_path):
    def keep_one_label(paths):
        for path in paths:
            SampleCollection.load(path).of_label(variation_label(0)).save(path)

    with pytest.raises(BrownidError, match=rf"lacks the label '{variation_label(1)}', which every identity should"):
        vary(DISPERSION, 2, spoil=keep_one_label)
    assert not (tmp_path / "merged-2.h5").exists()


def test_statistics_of_other_identities_than_the_samples_are_refused(vary, tmp_path):
    def repeat_the_first(paths):
        first, second = (path.with_suffix(".stats") for path in paths)
        second.write_bytes(first.read_bytes())

    with pytest.raises(BrownidError, match=r"2-of-2\.stats: these statistics are of 2 identities, but .*2\.h5 has 3"):
        vary(DISPERSION, 2, spoil=repeat_the_first)
    assert not (tmp_path / "merged-2.h5").exists()


def test_three_shards_of_images_show_what_one_shows(tmp_path, references, monkeypatch):
    asked = []  # to compile for these devices
    monkeypatch.setattr("render_images.compile_chains", asked.append)
    settings = {
        "seed": 3,
        "namespace": "people",
        "generator": FACE_MODEL["generator"],
        "template": "two_eye",
        "image_size": SIDE,
    }
    paths = {shards: [tmp_path / f"{shards}-{number}" for number in range(1, shards + 1)] for shards in (1, 3)}
    for shards, files in paths.items():
        for number, path in enumerate(files, start=1):
            render_images(settings, samples=references, shard=number, shards=shards, images=path)
    assert asked == [torch.device("cpu")] * 4
    whole, parts = ImageShards(paths[1]), ImageShards(paths[3])
    np.testing.assert_array_equal(whole.identities, parts.identities)
    pixels, others = (shown.decode(np.arange(IDENTITIES)).astype(int) for shown in (whole, parts))
    assert np.abs(pixels - others).max() <= 1  # rounding at a grey level's edge
    assert whole.namespaces == ["people"] * IDENTITIES and len({image.tobytes() for image in pixels}) == IDENTITIES


def test_a_rendering_that_was_cut_off_begins_again_and_ends_with_the_same_bytes(tmp_path, references, monkeypatch):
    monkeypatch.setattr(facemodel_loading, "BATCH_SIZE", 2)
    spec = {"generator": FACE_MODEL["generator"], "template": "two_eye", "image_size": SIDE}
    given = {"settings": {"seed": 3, "namespace": "people", **spec}, "samples": references, "shard": 1, "shards": 1}
    render_images(**given, images=tmp_path / "whole" / "images")
    render, path = facemodel_loading.render, tmp_path / "cut" / "images"

    def stop_in_the_second_batch(*arguments):
        monkeypatch.setattr(facemodel_loading, "render", interrupted)
        return render(*arguments)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(facemodel_loading, "render", stop_in_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        render_images(**given, images=path)
    assert not list(path.parent.iterdir())
    monkeypatch.setattr(facemodel_loading, "render", render)
    render_images(**given, images=path, threads=3)
    assert path.read_bytes() == (tmp_path / "whole" / "images").read_bytes()


LAYERED = FACE_MODEL | {
    "generator": {
        "family": "stylegan2",
        "random": {"resolution": 16, "latent_dim": 8, "channel_base": 96, "channel_max": 6, "mapping_layers": 2},
        "seed": 1,
        "noise": "item",
    },
    "generator_name": "stylegan2",
}
LAYERS = 6


def test_within_class_variations_in_w_plus_are_rendered_from_it_and_their_mean_stands_for_them(tmp_path, weights):
    numbers = np.random.default_rng(5)
    reference = numbers.normal(size=(2, 8)).astype(np.float32)
    embeddings = numbers.normal(size=(2, 16)).astype(np.float32)
    names = {"generator": "stylegan2", "recognition": "slim"}
    SampleCollection(reference, embeddings, [4, 7], ["reference"] * 2, **names).save(tmp_path / "references")
    fitted = fit_within_class(numbers.normal(size=(12, LAYERS * 8)), np.repeat(range(4), 3))
    save_within_class(tmp_path / "covariates", {"w_plus": fitted}, generator="stylegan2")
    entry = WITHIN_CLASS | {"settings": {"variations": COUNT, "iterations": 1, "space": "w_plus"}}
    files = {"references": tmp_path / "references", "weights": weights, "covariates": tmp_path / "covariates"}
    outputs = {"samples": tmp_path / "samples", "statistics": tmp_path / "statistics"}
    vary_references(LAYERED | {"variations": entry}, **files, shard=1, shards=1, **outputs)
    varied = SampleCollection.load(tmp_path / "samples")
    w_plus = varied.extra["w_plus_latent"]
    assert w_plus.shape == (2 * COUNT, LAYERS, 8) and np.ptp(w_plus, axis=1).min() > 0
    np.testing.assert_allclose(w_plus.mean(axis=1), varied.latents, atol=1e-6)

    varied.publishable().save_published(tmp_path / "published")
    settings = {"seed": 3, "namespace": "people", "generator": LAYERED["generator"], "template": "two_eye"}
    shown = []
    for samples in ("samples", "published"):
        images = tmp_path / f"{samples}.arrow"
        render_images(settings | {"image_size": SIDE}, samples=tmp_path / samples, shard=1, shards=1, images=images)
        shown.append(ImageShards([images]).decode(np.arange(2 * COUNT)))
    np.testing.assert_array_equal(*shown)
    model = load_face_model(LAYERED, weights)
    latents, noise_key = torch.from_numpy(w_plus), NoiseKey(3, image_items(varied.identities, varied.labels), None)
    np.testing.assert_allclose(model.embed(latents, noise_key), varied.embeddings, atol=1e-4)
    pixels = as_bytes(model.render(latents, noise_key)).astype(int)
    assert np.abs(pixels - np.stack(shown[0])).max() <= 1 and np.ptp(pixels, axis=0).max() > 10
