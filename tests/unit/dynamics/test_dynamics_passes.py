"""A face model in batches: in smaller ones where the memory runs out, with noise maps of each item's own."""

import pytest
import torch
from slow_dynamics import ToyFaceModel, random_latents

from brownid.dynamics.baselines import random_references
from brownid.dynamics.dispersion import dispersion
from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import DispersionSettings, LangevinSettings
from brownid.facemodel.batched import BatchedFaceModel
from brownid.runtime import randomness
from brownid.runtime.errors import BrownidError
from brownid.runtime.philox import normal_numbers
from brownid.runtime.precision import Batching
from brownid.runtime.randomness import image_items


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Collecting garbage before a smaller batch takes a second in a process with the objects of all tests."""
    monkeypatch.setattr("brownid.runtime.precision.gc.collect", lambda: 0)


class SmallMemory(ToyFaceModel):
    """Holds no more than so many latents at a time, fewer where gradients are wanted."""

    def __init__(self, without: int, with_gradient: int):
        super().__init__()
        self.room = {False: without, True: with_gradient}

    def embed(self, latents):
        if len(latents) > self.room[latents.requires_grad]:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you …"
            )
        return super().embed(latents)


class NoisyModel(ToyFaceModel):
    """Adds random numbers of each item to what it embeds, as a generator with noise maps does."""

    needs_noise_key = True

    def __init__(self):
        super().__init__()
        self.noise_keys = []

    def embed(self, latents, noise_key):
        assert len(noise_key.items) == len(latents)
        self.noise_keys += [(item, noise_key.iteration) for item in noise_key.items]
        return super().embed(latents + 0.3 * noise_key.normal("noise", (latents.shape[1],)).to(latents))


def test_two_passes_over_a_batch_draw_their_noise_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        randomness, "normal_numbers", lambda *given: drawn.append(list(given[1])) or normal_numbers(*given)
    )
    model = NoisyModel()
    passes = BatchedFaceModel(model, 4, seed=1)
    embeddings, vjp = passes.embed_with_vjp(random_latents(10, 6), range(10), 3)
    vjp(torch.ones_like(embeddings))
    assert not passes.shared._drawn
    assert len(model.noise_keys) == 16 and sorted(item for items in drawn for item in items) == list(range(10))


def test_noise_that_waits_for_the_second_pass_gives_way_where_the_memory_runs_out():
    class Full(NoisyModel):
        def embed(self, latents, noise_key):
            found = super().embed(latents, noise_key)
            if latents.requires_grad and len(latents) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return found

    given = random_latents(10, 6), range(10), 3
    expected, pull = BatchedFaceModel(NoisyModel(), 10, seed=1).embed_with_vjp(*given)
    passes = BatchedFaceModel(Full(), 4, seed=1)
    embeddings, vjp = passes.embed_with_vjp(*given)
    assert passes.batching.size == 2 and not passes.shared._drawn
    torch.testing.assert_close(embeddings, expected)
    torch.testing.assert_close(vjp(torch.ones_like(embeddings)), pull(torch.ones_like(expected)))


@pytest.mark.parametrize(("without", "with_gradient"), [(64, 3), (1, 1)])
def test_a_batch_that_does_not_fit_is_halved_and_the_result_stays(without, with_gradient):
    latents, gradients = random_latents(13, 6), random_latents(13, 4, seed=1)
    plain, pull = BatchedFaceModel(ToyFaceModel(), 13).embed_with_vjp(latents)
    pulled = pull(gradients)
    model = SmallMemory(without, with_gradient)
    passes = BatchedFaceModel(model, 13)
    embeddings, vjp = passes.embed_with_vjp(latents)
    torch.testing.assert_close(embeddings, plain)
    torch.testing.assert_close(vjp(gradients), pulled)
    torch.testing.assert_close(passes.embed_and_differentiate(latents, lambda rows, _: gradients[rows])[1], pulled)
    assert passes.batching.size == max(size for size in (13, 7, 4, 2, 1) if size <= min(without, with_gradient))


def test_the_smaller_batch_size_is_kept():
    model = SmallMemory(64, 4)
    langevin(model, random_latents(9, 6), LangevinSettings(iterations=2), seed=1, batch_size=9)
    assert max(model.batches[1:]) <= 5


def test_where_not_one_image_fits_a_sentence_says_so():
    with pytest.raises(BrownidError, match=r"Not even one image.*DefaultCPUAllocator"):
        BatchedFaceModel(SmallMemory(0, 0), 8).embed(random_latents(3, 6))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not create a memory object"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous"
        ),
        RuntimeError("Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true, but got false."),
    ],
)
def test_whatever_says_that_a_batch_is_too_large_halves_it(error):
    def work(rows):
        if rows.stop - rows.start > 2:
            raise error
        return rows.stop - rows.start

    assert Batching(8).map(8, work) == [2, 2, 2, 2]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def fail(rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Batching(4).map(8, fail)


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(BrownidError, match="batch_size is 0"):
        Batching(0)


def test_noise_maps_are_addressed_by_identity_and_iteration_whatever_the_batches():
    settings = LangevinSettings(iterations=2, repulsion_coefficient=2.0)
    start, order = random_latents(9, 6), [4, 0, 8, 2, 1, 7, 3, 6, 5]
    model = NoisyModel()
    straight = langevin(model, start, settings, seed=1, batch_size=9)
    assert set(model.noise_keys) == {(item, iteration) for item in range(9) for iteration in (0, 1, None)}
    for batch_size in (1, 4):
        torch.testing.assert_close(
            langevin(NoisyModel(), start, settings, seed=1, batch_size=batch_size).latents, straight.latents
        )
    shuffled = langevin(NoisyModel(), start[order], settings, seed=1, items=order)
    torch.testing.assert_close(shuffled.latents, straight.latents[order])
    assert not torch.allclose(langevin(NoisyModel(), start, settings, seed=2).latents, straight.latents)


def test_each_variation_has_noise_maps_of_its_own_and_of_its_picture_in_the_end():
    settings = DispersionSettings(iterations=1, variations=2)
    references, model = random_latents(3, 6), NoisyModel()
    targets = ToyFaceModel().embed(references)
    whole = dispersion(model, references, targets, settings, seed=1, batch_size=4)
    labels = ["augmentation_0", "augmentation_1"]
    items = image_items([0, 0, 1, 1, 2, 2], labels * 3)
    assert len(set(items)) == 6 and set(model.noise_keys) == {(item, when) for item in items for when in (0, None)}
    part = dispersion(NoisyModel(), references[1:], targets[1:], settings, seed=1, items=[1, 2])
    torch.testing.assert_close(part.latents, whole.latents[1:])


def test_the_item_of_a_reference_is_its_identity_and_other_labels_have_others():
    assert image_items([5, 5, 6], ["reference", "augmentation_0", "augmentation_0"])[0] == 5
    assert len(set(image_items([5, 5, 6], ["reference", "augmentation_0", "augmentation_0"]))) == 3


def test_an_algorithm_that_numbers_no_items_refuses_random_noise_maps():
    with pytest.raises(BrownidError, match="noise to off or fixed"):
        BatchedFaceModel(NoisyModel(), 4).embed(random_latents(3, 6))


def test_random_references_are_embedded_with_the_noise_of_their_picture():
    model = NoisyModel()
    random_references(model, lambda numbers: random_latents(5, 6)[list(numbers)], 5, batch_size=2, seed=4)
    assert set(model.noise_keys) == {(item, None) for item in range(5)}


class SmallBackward(ToyFaceModel):
    """Has room for every forward pass, but not for the backward pass of so many."""

    def __init__(self, room: int):
        super().__init__()
        self.room = room

    def embed(self, latents):
        embeddings = super().embed(latents)
        if embeddings.requires_grad:

            def backward(gradient):
                if len(gradient) > self.room:
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                return gradient

            embeddings.register_hook(backward)
        return embeddings


def test_memory_that_runs_out_in_the_backward_pass_halves_the_batch_too():
    latents, gradients = random_latents(13, 6), random_latents(13, 4, seed=1)
    _, pull = BatchedFaceModel(ToyFaceModel(), 13).embed_with_vjp(latents)
    passes = BatchedFaceModel(SmallBackward(4), 10)
    _, vjp = passes.embed_with_vjp(latents)
    torch.testing.assert_close(vjp(gradients), pull(gradients))
    assert passes.batching.size <= 4
