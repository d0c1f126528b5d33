"""Embed the images of a dataset: genuine images for references to stay away from, or any images for the judge."""

from brownid.runtime.process import check_failures, default_device, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brownid.databases.reading import write_failures
from brownid.jobs.iteration import in_chunks
from brownid.jobs.resume import StateFile, discard_state, job_state, open_state
from brownid.jobs.workers import threads_beside
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network
from brownid.runtime.files import sha256
from brownid.runtime.precision import Batching
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards

BLOCK = 2048  # images that are decoded at a time: 77 MB of 112 pixels
BATCH_SIZE = 256
DECODED_AT_ONCE = 64  # images of one task of a thread
Readable = tuple[np.ndarray, dict[int, str]]


def embed_dataset(
    settings: Mapping[str, Any],
    *,
    images: Sequence[Path],
    weights: Path,
    samples: Path,
    failures: Path,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
    threads: int = 1,
) -> None:
    """Write the embeddings of all images of a dataset, without latents, and the list of those that failed.

    `threads` threads, more beside a GPU, decode the next block of images while the network embeds one.
    Goes on from the folder `state`, this dataset's own, where an interrupted job of the same `code`, settings and
    inputs left something, and saves there as often as `saving` (`iterations`, here blocks of images, and `minutes`)
    says.
    """
    shards = ImageShards(images)
    inputs = {"weights": sha256(weights), "images": [sha256(path) for path in images]}
    kept = open_state(job_state(state, settings, code, inputs, saving))
    device = default_device()
    network = load_network(settings["network"], weights, device)
    with closing(DecodedAhead(shards, threads_beside(device, threads))) as decoded:
        embeddings, why_not = _embed(decoded, network, settings["network"], kept)
    listed = [(f"{shards.identities[row]:05}/{shards.labels[row]}", why) for row, why in why_not.items()]
    check_failures(listed, len(shards), settings["maximum_failed_share"], f"images of {settings['dataset']}")
    rows = np.setdiff1d(np.arange(len(shards)), list(why_not))
    SampleCollection(
        latents=None,
        embeddings=embeddings,
        identities=shards.identities[rows],
        labels=[shards.labels[row] for row in rows],
        generator="",
        recognition=settings["name"],
        settings=settings,
    ).save(samples)
    write_failures(failures, listed)
    discard_state(state)


class DecodedAhead:
    """The pixels of a shard's rows, block by block; threads decode the next block while one is used."""

    def __init__(self, shards: ImageShards, threads: int):
        self.shards = shards
        self._pool = ThreadPoolExecutor(max(1, threads))
        self._ahead: dict[int, list[Future[Readable]]] = {}  # by first row, one block at most

    def rows(self, first: int, stop: int) -> Readable:
        """As `decode_readable` of these rows; the next ones are expected to be asked for after them."""
        decoding = self._ahead.pop(first, None) or self._begin(first, stop)
        self._ahead = {stop: self._begin(stop, min(stop + BLOCK, len(self.shards)))}
        pixels, failures = zip(*(part.result() for part in decoding), strict=True)
        return np.concatenate(pixels), {row: why for part in failures for row, why in part.items()}

    def _begin(self, first: int, stop: int) -> list[Future[Readable]]:
        starts = range(first, stop, DECODED_AT_ONCE)
        parts = [np.arange(start, min(start + DECODED_AT_ONCE, stop)) for start in starts]
        return [self._pool.submit(self.shards.decode_readable, part) for part in parts]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)


def _embed(
    decoded: DecodedAhead, network: nn.Module, settings: Mapping[str, Any], state: StateFile | None
) -> tuple[Tensor, dict[int, str]]:
    """Embeddings `[k, E]` of the images that can be embedded, in order, and why others cannot, by row."""
    options = {"mirror": settings["mirror"], "precision": settings["precision"], "batch_size": Batching(BATCH_SIZE)}

    def embed(chunk: slice, _: object) -> dict[str, Tensor]:
        pixels, failures = decoded.rows(chunk.start, chunk.stop)
        embeddings = embed_images(network, pixels, **options)
        readable = [row for row in range(chunk.start, chunk.stop) if row not in failures]
        finite = embeddings.isfinite().all(dim=1)
        failures |= {readable[i]: "its embedding is not finite" for i in (~finite).nonzero()[:, 0].tolist()}
        lines = "".join(json.dumps(failure) + "\n" for failure in failures.items())
        return {"embeddings": embeddings[finite], "failures": torch.tensor(list(lines.encode()), dtype=torch.uint8)}

    found = in_chunks(len(decoded.shards), embed, BLOCK, state=state, description="embed")
    lines = found["failures"].numpy().tobytes().decode().splitlines()
    return found["embeddings"], dict(json.loads(line) for line in lines)


if __name__ == "__main__":
    run(embed_dataset, snakemake)
