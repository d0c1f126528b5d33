"""HyperFace's entries agree with each other, or one sentence says where they do not."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from brownid.configuration import paths, products, stages
from brownid.configuration.loading import load_configuration
from brownid.runtime.errors import BrownidError

PROJECT = Path(__file__).parents[3]
TINY = yaml.safe_load((PROJECT / "tests" / "tiny.yaml").read_text())
ARC2FACE = {"family": "arc2face", "random": {"image_size": 32}, "seed": 1}


@pytest.fixture
def config():
    return deepcopy(TINY)


def loaded(config):
    return load_configuration(config, files=False)


def refusal(config):
    with pytest.raises(BrownidError) as caught:
        loaded(config)
    return str(caught.value)


def conditioned(config, **entry):
    """The configuration with an embedding-conditioned generator, and one references entry of it."""
    config["generators"]["arc2face"] = ARC2FACE
    config["references"]["conditioned"] = {
        **{"algorithm": "hyperface", "generator": "arc2face", "network": "steering", "identities": 6},
        **{"start": "rejected", "gallery": "rejected", **entry},
    }
    return config


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"identities": 7, "gallery": "rejected", "gallery_size": None}, "but its gallery rejected only 6 faces"),
        ({"gallery_size": 9, "gallery": "rejected"}, "has gallery_size 9, but its gallery rejected only 6 faces"),
        ({"settings": {"batch": 7}}, "references.packed.settings.batch is 7, more than its 6 identities"),
        ({"settings": {"batch_neighbours": "batch"}}, "batch_neighbours is 'batch', but there are no batches"),
        ({"inversion": {"attempts": 9}}, "inversion.attempts is 9, more than the 8 random faces to start from"),
        ({"processes": 7}, "references.packed.processes is 7, more than its 6 identities"),
        ({"settings": {"iterations": "1e5"}}, "YAML reads this as text; write 100000"),
        ({"settings": {"batch": 1}}, "references.packed.settings.batch: 1"),
        ({"settings": {"gallery_coefficient": -0.1}}, "references.packed.settings.gallery_coefficient: -0.1"),
        ({"settings": {"gallery_coefficient": float("nan")}}, "references.packed.settings.gallery_coefficient: nan"),
        ({"gallery": "nobody"}, "references.packed.gallery: there is no entry 'nobody' under references or databases"),
        ({"gallery": "packed"}, "References start from each other in a circle: packed -> packed"),
        ({"leak_guard": "portraits"}, "references.packed.leak_guard: this key means nothing with the algorithm"),
        ({"inversion": {"maximum_angle": 4.0}}, "references.packed.inversion.maximum_angle: 4.0"),
    ],
)
def test_a_packing_that_cannot_be_is_refused(config, entry, sentence):
    config["references"]["packed"] |= entry
    assert sentence in refusal(config)


@pytest.mark.parametrize("key", ["gallery", "gallery_size", "inversion"])
def test_keys_of_a_packing_mean_nothing_to_langevin(config, key):
    config["references"]["moved"][key] = {"gallery": "rejected", "gallery_size": 6, "inversion": {"iterations": 1}}[key]
    assert "means nothing" in refusal(config)


def test_a_forgotten_algorithm_is_not_drowned_in_the_keys_of_all(config):
    del config["references"]["packed"]["algorithm"]
    said = refusal(config).splitlines()
    assert "  references.packed: the key 'algorithm' is missing." in said and len(said) <= 4


def test_a_batch_of_all_and_a_gallery_that_just_suffices_will_do(config):
    config["references"]["packed"] |= {"gallery": "rejected", "gallery_size": None, "settings": {"batch": 6}}
    assert loaded(config)
    config["references"]["packed"]["gallery_size"] = 7
    assert "has gallery_size 7, but its gallery rejected only 6" in refusal(config)


def test_keys_without_a_meaning_to_an_embedding_conditioned_generator_are_refused(config):
    assert "references.conditioned.inversion means nothing" in refusal(conditioned(config, inversion={"iterations": 1}))
    config["references"]["conditioned"].pop("inversion")
    entry = {"algorithm": "hyperface", "references": "conditioned", "settings": {"embedding_noise": 0.1}}
    config["variations"]["noisy"] = entry
    assert loaded(config)
    config["variations"]["noisy"] = entry | {"settings": {"start_interpolation": 0.1}}
    assert "variations.noisy.settings.start_interpolation means nothing" in refusal(config)


def test_a_smaller_gallery_will_do_where_it_is_asked_for(config):
    config["references"]["packed"] |= {"identities": 7, "gallery": "rejected", "gallery_size": 6}
    assert loaded(config)["references"]["packed"]["gallery_size"] == 6


@pytest.mark.parametrize(
    ("key", "value"), [("embedding_noise", -0.01), ("start_interpolation", 1.5), ("variations", 0)]
)
def test_variations_out_of_range_are_refused(config, key, value):
    config["variations"]["packed_varied"]["settings"][key] = value
    assert f"variations.packed_varied.settings.{key}: {value}" in refusal(config)


def test_a_start_or_gallery_of_another_network_is_refused(config):
    config["networks"]["other"] = dict(config["networks"]["steering"])
    config["references"]["rejected"]["network"] = "other"
    config["references"]["packed"]["gallery"] = "rejected"
    assert "embeddings mean nothing to another network" in refusal(config)


def test_an_embedding_conditioned_generator_needs_start_and_gallery(config):
    assert "references.conditioned.gallery is missing" in refusal(conditioned(config, gallery=None))
    assert "references.conditioned.start is missing" in refusal(conditioned(config, start=None))
    assert loaded(conditioned(config, start="rejected", gallery="rejected"))


@pytest.mark.parametrize("algorithm", ["random", "langevin"])
def test_an_embedding_conditioned_generator_has_no_latents_to_sample(config, algorithm):
    config["generators"]["arc2face"] = ARC2FACE
    config["references"]["rejected"] |= {"algorithm": algorithm, "generator": "arc2face", "settings": {}}
    config["references"]["moved"].pop("start")
    assert "generator" in refusal(config) and "'arc2face'" in refusal(config)


def test_references_of_embeddings_cannot_be_dispersed(config):
    config = conditioned(config)
    config["variations"]["dispersed"] = {"algorithm": "dispersion", "references": "conditioned"}
    assert "variations.dispersed (dispersion) needs latents with gradients" in refusal(config)


def test_latent_diffusion_serves_as_a_gallery_and_not_for_inversion(config):
    config["generators"]["ldm"] = {"family": "ldm", "random": {"image_size": 32}, "seed": 1}
    gallery = {"algorithm": "random", "generator": "ldm", "network": "steering", "identities": 6}
    config["references"] |= {"drawn": gallery}
    config["references"]["packed"] |= {"gallery": "drawn", "gallery_size": None}
    assert loaded(config)
    config["references"]["packed"]["generator"] = "ldm"
    assert "references.packed (hyperface) needs latents with gradients" in refusal(config)


def test_an_embedding_conditioned_entry_has_no_random_faces_of_its_own(config):
    config = loaded(conditioned(config))
    assert paths.faces(config, "conditioned") == [] and paths.faces(config, "packed")
    assert paths.packing_gallery(config, "conditioned") == paths.packing_start(config, "conditioned")
    assert stages.invert_embeddings(config, "conditioned") == {"generator_name": "arc2face"}


def test_a_set_that_is_only_a_gallery_is_not_shown(config):
    assert "rejected" in products.shown_datasets(loaded(config))
    config["references"]["packed"] |= {"gallery": "rejected", "gallery_size": 6}
    assert "rejected" not in products.shown_datasets(loaded(config))


def test_a_packing_is_measured_where_the_network_reads_the_crops_of_the_workflow(config):
    assert products.measured_packings(loaded(config)) == ["packed"]
    config["networks"]["steering"] |= {"database": None, "weights": "models/net", "image_size": 48}
    config["references"]["moved"].pop("leak_guard")
    assert products.measured_packings(loaded(config)) == []
