"""What storing samples costs: our columns, one HDF5 group per sample, and the bare bytes, side by side in one run.

    python benchmarks/store.py [--samples 100000] [--groups 3000] [--rounds 3] [--folder FOLDER]

A sample is a latent and an embedding of 512 float32 each. Writing ends when the bytes are on the disk; the part of it
that waits for the disk (fsync) is told too. Reading is from the page cache (warm), or from the disk after the file was
dropped from there (cold). Medians of rounds in which all take turns; believe the ratios. The numbers are random, which
is about what latents and embeddings look like to a compressor. The folder needs three times the samples' bytes, the
memory four times.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import h5py
import numpy as np

from brownid.runtime.files import atomic_path
from brownid.runtime.process import set_process_environment
from brownid.samples.collection import SampleCollection, merge

DIMENSION, LABELS, SHARDS = 512, 64, 10
STORAGE_SAMPLES = 20_000  # for the slow compressors
MEBIBYTE = 2**20


def make_samples(count: int) -> SampleCollection:
    """`count` samples in canonical order, 64 of each identity."""
    numbers = np.random.default_rng(1)
    latents, embeddings = (numbers.standard_normal((count, DIMENSION), np.float32) for _ in range(2))
    for block in np.array_split(embeddings, max(1, count // 10_000)):
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return SampleCollection(
        latents=latents,
        embeddings=embeddings,
        identities=np.arange(count) // LABELS,
        labels=[f"augmentation_{number % LABELS}" for number in range(count)],
        generator="stylegan2",
        recognition="arcface",
    )


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_bare(path: Path, samples: SampleCollection) -> None:
    """The same bytes without a format, written next to the old file and renamed when complete, as ours."""
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            samples.latents.tofile(file)
            samples.embeddings.tofile(file)
        sync(temporary)


def write_plainly(path: Path, samples: SampleCollection) -> None:
    """The published format as one would write it with h5py."""
    with h5py.File(path, "w") as file:
        for row, (identity, label) in enumerate(zip(samples.identities, samples.labels, strict=True)):
            group = file.require_group(f"{identity:05d}").create_group(label)
            group.attrs["network_type"] = samples.generator
            group.attrs["embedding_type"] = samples.recognition
            group.create_dataset("w_latent", data=samples.latents[row : row + 1])
            group.create_dataset("embedding", data=samples.embeddings[row : row + 1])
    sync(path)


def read_plainly(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The published format as one would read it with h5py."""
    latents, embeddings, names = [], [], set()
    with h5py.File(path, "r") as file:
        for identity in file:
            for label in file[identity]:
                group = file[identity][label]
                names.add((group.attrs["network_type"], group.attrs["embedding_type"]))
                latents.append(group["w_latent"][:])
                embeddings.append(group["embedding"][:])
    return np.concatenate(latents), np.concatenate(embeddings)


def from_disk(path: Path, read: Callable[[], object]) -> Callable[[], float]:
    """A function that drops a file from the page cache and times its reading."""

    def run() -> float:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        return seconds(read)

    return run


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Waiting:
    """Adds up the time that `os.fsync` takes while the context lasts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Waiting":
        self._fsync = os.fsync
        os.fsync = self._timed_fsync
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync = self._fsync

    def _timed_fsync(self, descriptor: int) -> None:
        self.seconds += seconds(lambda: self._fsync(descriptor))


def timed(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, all taking turns."""
    return in_turns({name: (lambda work=work: seconds(work)) for name, work in works.items()}, rounds)


def in_turns(works: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of what each measures, all taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            taken[name].append(work())
    return {name: statistics.median(values[1:]) for name, values in taken.items()}  # the first round warms up


def compare_formats(folder: Path, samples: SampleCollection, groups: int, rounds: int) -> None:
    """Time and size per sample of all formats, and the speed of ours against that of the bare bytes."""
    few = samples.rows(range(min(groups, len(samples))))
    bare, ours, published, plain = (folder / name for name in ("bare", "ours.h5", "published.h5", "plain.h5"))
    writers = {
        "bare": lambda: write_bare(bare, samples),
        "ours": lambda: samples.save(ours),
        "published": lambda: few.save_published(published),
        "plain": lambda: write_plainly(plain, few),
    }
    waited: dict[str, list[float]] = {name: [] for name in writers}

    def writing(name: str) -> float:
        with Waiting() as waiting:
            taken = seconds(writers[name])
        waited[name].append(waiting.seconds)
        return taken

    written = in_turns({name: (lambda name=name: writing(name)) for name in writers}, rounds)
    readers = {
        "bare": lambda: np.fromfile(bare, np.float32),
        "ours": lambda: SampleCollection.load(ours),
        "published": lambda: SampleCollection.load(published),
        "plain": lambda: read_plainly(plain),
    }
    warm = timed(readers, rounds)
    cold = in_turns({name: from_disk(path, readers[name]) for name, path in (("bare", bare), ("ours", ours))}, rounds)
    names = {
        "bare": ("bare bytes (tofile, fromfile)", bare, len(samples)),
        "ours": ("ours, columns", ours, len(samples)),
        "published": ("one group a sample, ours", published, len(few)),
        "plain": ("one group a sample, plain h5py", plain, len(few)),
    }
    print(
        f"{'a sample':32}{'samples':>8}{'write us':>10}{'(fsync)':>9}{'read us':>9}{'bytes':>7}"
        f"{'write x':>9}{'read x':>8}"
    )
    for key, (name, path, count) in names.items():
        times = [1e6 * value / count for value in (written[key], statistics.median(waited[key][1:]), warm[key])]
        ratios = [taken[key] / count / (taken["ours"] / len(samples)) for taken in (written, warm)]
        size = path.stat().st_size / count
        print(
            f"{name:32}{count:8}{times[0]:10.2f}{times[1]:9.2f}{times[2]:9.2f}{size:7.0f}{ratios[0]:9.2f}{ratios[1]:8.2f}"
        )
    gigabytes = bare.stat().st_size / 1e9
    for what, taken in (("write", written), ("read warm", warm), ("read cold", cold)):
        rates = {name: gigabytes / taken[name] for name in ("bare", "ours")}
        print(
            f"{what:10} {gigabytes:.2f} GB: bare {rates['bare']:.2f} GB/s, ours {rates['ours']:.2f} GB/s,"
            f" {100 * rates['ours'] / rates['bare']:.0f} %"
        )
    bare.unlink()


def compare_selection(path: Path, samples: SampleCollection, rounds: int) -> None:
    """The rows of one identity in a hundred against the whole file."""
    wanted = np.unique(samples.identities)[::100]
    rest = {
        "whole file": lambda: SampleCollection.load(path),
        "1 % of the identities": lambda: SampleCollection.load(path, identities=wanted),
        "one identity": lambda: SampleCollection.load(path, identities=wanted[:1]),
        "identities and labels": lambda: SampleCollection.load(path, columns=()),
    }
    for name, taken in timed(rest, rounds).items():
        print(f"read {name:24}{1e3 * taken:10.1f} ms")


def compare_storage(folder: Path, samples: SampleCollection, rounds: int) -> None:
    """What half precision and compression cost and save."""
    few, path = samples.rows(range(min(STORAGE_SAMPLES, len(samples)))), folder / "stored.h5"
    print(f"{'stored as':20}{'bytes':>8}{'write us':>10}{'read us':>10}   (a sample, of {len(few)})")
    for precision in (None, "float16"):
        for compression in (None, "lzf", "gzip"):
            works = {
                "write": lambda p=precision, c=compression: few.save(path, precision=p, compression=c),
                "read": lambda: SampleCollection.load(path),
            }
            taken = {name: 1e6 * value / len(few) for name, value in timed(works, rounds).items()}
            name = f"{precision or 'float32'} {compression or ''}"
            size = path.stat().st_size / len(few)
            print(f"{name:20}{size:8.0f}{taken['write']:10.2f}{taken['read']:10.2f}")
    halved = SampleCollection.load(path)
    cosines = np.einsum("ij,ij->i", halved.embeddings.astype(np.float64), few.embeddings.astype(np.float64))
    cosines /= np.linalg.norm(halved.embeddings.astype(np.float64), axis=1)
    angle = np.sqrt(2 * np.maximum(0, 1 - cosines)).max()
    print(
        f"float16 turns an embedding by {angle:.1e} rad at most, and changes a latent by "
        f"{np.abs(halved.latents - few.latents).max():.1e} at most"
    )
    path.unlink()


def measure_merge(folder: Path, samples: SampleCollection) -> None:
    """Ten shards into one file: the time, and the memory of a process that does nothing else."""
    shards = []
    for number, rows in enumerate(np.array_split(np.arange(len(samples) // LABELS * LABELS), SHARDS)):
        shards.append(folder / f"shard-{number}.h5")
        samples.rows(rows).save(shards[-1])
    largest = max(path.stat().st_size for path in shards)
    command = [sys.executable, __file__, "--merge", str(folder / "merged.h5"), *map(str, shards)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    print(f"{SHARDS} shards of {largest / MEBIBYTE:.0f} MiB: {told}")


def merge_and_tell(destination: str, shards: list[str]) -> None:
    """Merge, then print how long it took and how much memory it added to that of the imports."""
    before = most_memory()
    taken = seconds(lambda: merge(shards, destination))
    rate = Path(destination).stat().st_size / 1e9 / taken
    print(
        f"merged in {taken:.1f} s ({rate:.2f} GB/s) with at most {most_memory() - before:.0f} MiB"
        f" above the {before:.0f} of the imports"
    )


def most_memory() -> float:
    """The most memory that this process has held so far, in MiB (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000, help="of our format and the bare bytes")
    parser.add_argument("--groups", type=int, default=3000, help="of the formats with one group a sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")
    parser.add_argument("--merge", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.merge:
        merge_and_tell(options.merge[0], options.merge[1:])
        return
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # glibc reads it as a process starts; as brownid's commands have it
        set_process_environment()
        os.execv(sys.executable, [sys.executable, *sys.argv])
    print(f"h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}, load average {os.getloadavg()[0]:.1f}")
    samples = make_samples(options.samples)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        compare_formats(folder, samples, options.groups, options.rounds)
        compare_selection(folder / "ours.h5", samples, options.rounds)
        (folder / "ours.h5").unlink()
        compare_storage(folder, samples, options.rounds)
        measure_merge(folder, samples)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
