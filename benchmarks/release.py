"""What a release costs: a training set as Parquet, and the same images as PNG files, side by side in one run.

    python benchmarks/release.py [--images 200000] [--image-size 16] [--processes 2] [--folder FOLDER]

65 images per identity, a latent and an embedding of 512 float32 each. Every step runs in a process of its own: the
export (Parquet only), the release with its checksums, and `brownid verify`. Told are seconds, processor seconds, the
number of files and bytes of the release, and the largest memory of a process of the step. Writing ends when all is on
the disk. Believe the ratios. The folder needs some 20 kB per image.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np

from brownid.exports import parquet
from brownid.exports.inventory import RECORD, write_record
from brownid.exports.joining import JoinedTrainingSet, Part
from brownid.release.contents import DatasetPart, ReleaseDescription, TrainingSetPart
from brownid.release.package import build_release
from brownid.release.verify import verify
from brownid.runtime.files import atomic_path
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_encoded_shard
from brownid.samples.provenance import write_command

DIMENSION, IMAGES_PER_IDENTITY, DIFFERENT = 512, 65, 1000
SHARD_BYTES = 384 * 10**6
NAME = "references"
DESCRIPTION = ReleaseDescription("benchmark", "Images of noise.", "nobody", "CC0-1.0")


def write_inputs(folder: Path, images: int, image_size: int) -> None:
    """Write a dataset of noise: one image shard, one collection."""
    numbers = np.random.default_rng(1)
    identities = np.arange(images) // IMAGES_PER_IDENTITY
    labels = ["reference", *(f"augmentation_{number}" for number in range(IMAGES_PER_IDENTITY - 1))]
    names = [labels[row % IMAGES_PER_IDENTITY] for row in range(images)]
    pixels = numbers.integers(0, 256, (DIFFERENT, image_size, image_size, 3), np.uint8)
    encoded = [png.encode(image) for image in pixels]
    write_encoded_shard(
        folder / "images.arrow",
        NAME,
        identities,
        names,
        [encoded[row % DIFFERENT] for row in range(images)],
        image_size=image_size,
    )
    vectors = numbers.standard_normal((images, DIMENSION), np.float32)
    for block in np.array_split(vectors, max(1, images // 10_000)):
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    SampleCollection(vectors, vectors, identities, names, "noise", "noise").save(folder / "samples.h5")
    write_command(folder / "command.yml", settings={}, seed=1, inputs={})


def export(folder: Path, processes: int) -> None:
    """Write the training set as Parquet."""
    training_set = JoinedTrainingSet(NAME, [Part(NAME, (folder / "images.arrow",), folder / "samples.h5")])
    with atomic_path(folder / "export") as target:
        target.mkdir()
        parquet.write(training_set, target, shard_bytes=SHARD_BYTES, processes=processes)
        write_record(target, training_set, "parquet", processes)


def release_parquet(folder: Path, image_size: int) -> None:
    """Release the exported training set."""
    dataset = DatasetPart(NAME, folder / "samples.h5", folder / "command.yml", image_size=image_size)
    sets = [TrainingSetPart(NAME, {"parquet": folder / "export" / RECORD})]
    build_release(folder / "parquet", description=DESCRIPTION, datasets=[dataset], training_sets=sets)


def release_published(folder: Path) -> None:
    """Release the dataset in the published layout."""
    dataset = DatasetPart(NAME, folder / "samples.h5", folder / "command.yml", (folder / "images.arrow",))
    build_release(folder / "published", description=DESCRIPTION, datasets=[dataset])


def check(folder: Path, processes: int) -> None:
    """Verify a release."""
    if problems := verify(folder, processes):
        raise SystemExit("\n".join(problems[:10]))


def measured(step: Callable[..., None], *arguments: object) -> tuple[float, float, float]:
    """Seconds, processor seconds and megabytes of the largest process of a step."""
    start = time.perf_counter()
    step(*arguments)
    seconds = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return seconds, processor, max(usage.ru_maxrss for usage in used) / 1024


def report(name: str, step: Callable[..., None], *arguments: object) -> None:
    """Run a step in a process of its own and print what it took."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seconds, processor, memory = pool.submit(measured, step, *arguments).result()
    print(f"| {name} | {seconds:.1f} | {processor:.1f} | {memory:.0f} |", flush=True)


def main() -> None:
    """Run all steps and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(f"{options.images} images of {options.image_size} pixels, {options.processes} processes of {os.cpu_count()}")
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        print("| step | seconds | processor seconds | MB of memory |\n|---|---|---|---|")
        report("write the inputs", write_inputs, folder, options.images, options.image_size)
        report("export as Parquet", export, folder, options.processes)
        report("release with Parquet", release_parquet, folder, options.image_size)
        report("release with PNG files", release_published, folder)
        report("verify Parquet", check, folder / "parquet", options.processes)
        report("verify PNG files", check, folder / "published", options.processes)
        print("| release | files | bytes per image |\n|---|---|---|")
        for name in ("parquet", "published"):
            sizes = [file.stat().st_size for file in (folder / name).rglob("*") if file.is_file()]
            print(f"| {name} | {len(sizes)} | {sum(sizes) / options.images:.0f} |")


if __name__ == "__main__":
    main()
