"""Arc2Face's text encoder: a sentence in which one word is replaced by the embedding of a face.

Paraperas Papantoniou et al., "Arc2Face: A Foundation Model for ID-Consistent Human Faces", ECCV 2024, section 3.2.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.diffusion.components import LibraryNetwork
from brownid.runtime.errors import BrownidError

PROMPT = "photo of a id person"
PLACE = "id"  # the word that the embedding takes the place of
START, END = "<|startoftext|>", "<|endoftext|>"  # the second fills the rest of a sentence, too


class IdentityEncoder(nn.Module):
    """Embeddings of faces to prompt embeddings, by a CLIP text model `text` and its `vocabulary`, word to number.

    Raises `BrownidError` where the vocabulary lacks a word of the prompt, or the text model is narrower than an
    embedding or knows fewer words than the vocabulary.
    """

    identity_tokens: Tensor  # int64 [1, L], of the prompt
    empty_tokens: Tensor  # int64 [1, L]

    def __init__(self, text: LibraryNetwork, vocabulary: Mapping[str, int], embedding_dim: int) -> None:
        super().__init__()
        self.text = text
        self.width: int = text.config.hidden_size
        self.embedding_dim = embedding_dim
        if self.width < embedding_dim:
            raise BrownidError(
                f"Arc2Face's text encoder works with {self.width} numbers a word, which cannot hold an embedding of "
                f"{embedding_dim}: set embedding_dim to that of the network that the weights were trained with."
            )
        length = text.config.max_position_embeddings
        known = text.config.vocab_size
        prompts = [prompt_tokens(prompt, vocabulary, length) for prompt in (PROMPT, "")]
        if max(max(tokens) for tokens in prompts) >= known:
            raise BrownidError(f"Arc2Face's text encoder knows {known} words, its vocabulary more: they do not belong.")
        for name, tokens in zip(("identity", "empty"), prompts, strict=True):
            self.register_buffer(f"{name}_tokens", torch.tensor([tokens]), persistent=False)
        self.place = prompts[0].index(vocabulary[f"{PLACE}</w>"])

    def forward(self, embeddings: Tensor) -> Tensor:
        """Unit embeddings `[B, E]` to prompt embeddings `[B, L, W]`: the last hidden states, after the final norm."""
        padded = F.pad(embeddings.float(), (0, self.width - embeddings.shape[1]))
        with self._replaced(padded):
            return self.text(input_ids=self.identity_tokens.expand(len(embeddings), -1)).last_hidden_state

    def unconditional(self) -> Tensor:
        """The prompt embedding `[1, L, W]` of the empty sentence, which guidance leads away from."""
        return self.text(input_ids=self.empty_tokens).last_hidden_state

    @contextmanager
    def _replaced(self, padded: Tensor) -> Iterator[None]:
        """The text model, which takes words only, with the embedding of the word in question replaced on the way.

        A hook on the layer of words leaves all that follows, positions, causal mask and norm, to the model itself.
        """

        def replace(_layer: nn.Module, _inputs: object, words: Tensor) -> Tensor:
            words = words.clone()  # [B, L, W]
            words[:, self.place] = padded.to(words)
            return words

        hook = self.text.get_input_embeddings().register_forward_hook(replace)
        try:
            yield
        finally:
            hook.remove()


def prompt_tokens(prompt: str, vocabulary: Mapping[str, int], length: int) -> list[int]:
    """The numbers of a prompt's words between start and end, filled up with ends to `length`, as CLIP does it.

    CLIP's tokenizer gives a common English word one number, that of "word</w>" in its vocabulary, so it is not needed
    here. A word that the vocabulary lacks is a `BrownidError`.
    """
    names = [START, *(f"{word}</w>" for word in prompt.split()), END]
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise BrownidError(
            f"The tokenizer's vocabulary lacks {missing[0]!r}, which Arc2Face's prompt {PROMPT!r} needs: is it that "
            "of Stable Diffusion 1.5?"
        )
    if len(names) > length:
        raise BrownidError(f"Arc2Face's prompt has {len(names)} words, its text encoder takes no more than {length}.")
    tokens = [int(vocabulary[name]) for name in names]
    return tokens + [tokens[-1]] * (length - len(tokens))
