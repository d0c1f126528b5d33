"""A face model in batches: embeddings of latents, and the gradients of energies by the latents."""

from collections.abc import Callable, Sequence

import torch

from brownid.facemodel.model import FaceModel, needs_noise_key
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching
from brownid.runtime.randomness import NoiseKey, SharedNoise


class BatchedFaceModel:
    """A face model that is called on at most `batch_size` latents at a time, on fewer where the memory runs out.

    `items` of a call are the item numbers of its rows, which together with `seed` and the iteration (None: of the
    image that is kept) decide the noise maps. Embeddings come in the element type of the latents.
    """

    def __init__(self, model: FaceModel, batch_size: int, seed: int | None = None):
        self.model = model
        self.seed = seed
        self.shared = SharedNoise()  # by the two passes of `embed_with_vjp`, until the memory runs out once
        self.batching = Batching(batch_size, self.shared.stop).limited(model)

    def embed(
        self, latents: torch.Tensor, items: Sequence[int] | None = None, iteration: int | None = None
    ) -> torch.Tensor:
        """Embeddings `[N,E]` of latents `[N,D]`, without gradient."""
        return self._embed_all(latents, self._noise_key(items, iteration))

    def embed_with_vjp(
        self, latents: torch.Tensor, items: Sequence[int] | None = None, iteration: int | None = None
    ) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Embeddings `[N,E]` of latents `[N,D]`, and their vector-Jacobian product, to call once: from ∂U/∂e `[N,E]` to
        ∂U/∂w `[N,D]`.

        The last full batch keeps the graph of its embedding pass; all others are embedded a second time, because the
        graphs of all would not fit in memory. The two passes share their noise.
        """
        noise_key = self._noise_key(items, iteration)
        noise_key = noise_key and noise_key._replace(shared=self.shared)
        self.shared.clear()

        def with_graph(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
            return self._embed_with_graph(latents[rows], noise_key and noise_key.rows(rows))

        embeddings, first, kept = [], 0, None
        while kept is None:  # once more for each time that the memory did not suffice
            rest = max(first, len(latents) - self.batching.size)
            if rest > first:
                part = slice(first, rest)
                embeddings.append(self._embed_all(latents[part], noise_key and noise_key.rows(part)))
            first = rest
            kept = self.batching.attempt(slice(first, len(latents)), with_graph)
        ((leaf, output),) = kept
        graph = [(leaf, output)]

        def vjp(gradients: torch.Tensor) -> torch.Tensor:
            def through_kept_graph(rows: slice) -> torch.Tensor:
                return _vjp(*graph.pop(), gradients[rows])  # and lets go of the graph

            def work(rows: slice) -> torch.Tensor:
                return _vjp(*with_graph(rows), gradients[rows])

            last = self.batching.attempt(slice(first, len(latents)), through_kept_graph)
            again = len(latents) if last is None else first  # without memory for the kept graph, in smaller batches
            gradients_by_latents = torch.cat([*self.batching.map(again, work), *(last or ())])
            self.shared.clear()
            return gradients_by_latents

        return torch.cat([*embeddings, output.detach()]), vjp

    def embed_and_differentiate(
        self,
        latents: torch.Tensor,
        gradients_of: Callable[[slice, torch.Tensor], torch.Tensor],
        items: Sequence[int] | None = None,
        iteration: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings `[N,E]` of latents `[N,D]` and ∂U/∂w `[N,D]`, in one pass, where a row's ∂U/∂e needs no other's.

        `gradients_of(rows, embeddings)` returns ∂U/∂e of these rows.
        """
        noise_key = self._noise_key(items, iteration)

        def work(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
            leaf, output = self._embed_with_graph(latents[rows], noise_key and noise_key.rows(rows))
            embeddings = output.detach()
            return embeddings, _vjp(leaf, output, gradients_of(rows, embeddings))

        embeddings, gradients = zip(*self.batching.map(len(latents), work), strict=True)
        return torch.cat(embeddings), torch.cat(gradients)

    def _noise_key(self, items: Sequence[int] | None, iteration: int | None) -> NoiseKey | None:
        if not needs_noise_key(self.model):
            return None
        if items is None or self.seed is None:
            raise BrownidError(
                "This generator's noise maps are random for each item, which this algorithm does not number; "
                "set noise to off or fixed."
            )
        return NoiseKey(self.seed, items, iteration)

    def _embed_all(self, latents: torch.Tensor, noise_key: NoiseKey | None) -> torch.Tensor:
        def work(rows: slice) -> torch.Tensor:
            with torch.no_grad():
                return self._embed(latents[rows], noise_key and noise_key.rows(rows))

        return torch.cat(self.batching.map(len(latents), work))

    def _embed(self, latents: torch.Tensor, noise_key: NoiseKey | None) -> torch.Tensor:
        embed: Callable[..., torch.Tensor] = self.model.embed
        return (embed(latents) if noise_key is None else embed(latents, noise_key)).to(latents.dtype)

    def _embed_with_graph(self, latents: torch.Tensor, noise_key: NoiseKey | None) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            leaf = latents.detach().requires_grad_(True)
            return leaf, self._embed(leaf, noise_key)


def _vjp(leaf: torch.Tensor, output: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():  # as with grad_outputs, to the last digit, for which torch imports sympy
        product = (output * gradients).sum()
    (gradients,) = torch.autograd.grad(product, leaf)
    return gradients
