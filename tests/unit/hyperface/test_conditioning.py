"""The images of an identity aim around its embedding, each at its own point, whoever else there is."""

import math

import pytest
import torch

from brownid.hyperface.settings import ConditioningSettings
from brownid.hyperface.variations import noisy_targets, variation_starts
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import stream

REFERENCES = torch.nn.functional.normalize(torch.randn(3, 512, generator=torch.Generator().manual_seed(0)))


def targets(count=4, noise=0.01, **others):
    return noisy_targets(REFERENCES, count, noise, **{"seed": 5, **others})


def test_the_target_is_the_normalised_embedding_with_the_noise_of_its_address():
    v = stream(5, "hyperface/conditioning", 1).standard_normal((4, 512), "float32")
    aimed = REFERENCES[1] + 0.01 * torch.from_numpy(v)
    torch.testing.assert_close(targets()[1], aimed / aimed.norm(dim=1, keepdim=True))
    torch.testing.assert_close(noisy_targets(3 * REFERENCES, 4, 0.01, seed=5), targets())  # x_i is a direction


def test_an_image_depends_neither_on_their_number_nor_on_the_other_identities():
    assert torch.equal(targets(2), targets(4)[:, :2])
    assert torch.equal(noisy_targets(REFERENCES[[2]], 4, 0.01, seed=5, items=[2]), targets()[[2]])
    assert not torch.equal(targets(), targets(seed=6)) and not torch.equal(targets()[0], targets(items=[7, 8, 9])[0])


def test_the_published_noise_turns_an_embedding_by_a_fifth_of_a_radian():
    angles = torch.acos((targets(64) * REFERENCES[:, None]).sum(dim=2))
    assert float(angles.mean()) == pytest.approx(math.atan(0.01 * math.sqrt(512)), rel=0.01)
    torch.testing.assert_close(targets(2, noise=0.0), REFERENCES[:, None].expand(-1, 2, -1))


def test_the_starts_lie_between_the_identity_and_a_random_face():
    latents, random_latents = torch.tensor([[0.0, 4.0]]), torch.tensor([[[4.0, 0.0], [8.0, 8.0]]])
    quarter = torch.tensor([[[1.0, 3.0], [2.0, 5.0]]])
    torch.testing.assert_close(variation_starts(latents, random_latents, 0.25), quarter)
    assert torch.equal(variation_starts(latents, random_latents, 1.0), random_latents)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: targets(noise=-0.1), "noise on embeddings is -0.1"),
        (lambda: targets(noise=math.inf), "noise on embeddings is inf"),
        (lambda: targets(0), "0 variations"),
        (lambda: targets(items=[1, 1, 2]), "differ from each other"),
        (lambda: noisy_targets(0 * REFERENCES, 4, 0.1, seed=1), "in row 0 is zero"),
        (lambda: variation_starts(REFERENCES, REFERENCES, 0.5), "random_latents has shape"),
        (lambda: variation_starts(REFERENCES, REFERENCES[:, None], 1.5), "start_interpolation is 1.5"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(BrownidError, match=sentence):
        call()


@pytest.mark.parametrize(
    "wrong", [{"variations": 0}, {"embedding_noise": -0.1}, {"start_interpolation": 1.5}, {"maximum_angle": -1.0}]
)
def test_a_wrong_setting_of_conditioning_is_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrownidError, match=f"ConditioningSettings.{name} is {value!r}"):
        ConditioningSettings(**wrong)
