"""Time and memory of the pair work of one Langevin iteration, by the number of identities.

    python benchmarks/pairs.py [--threads 2] [--sizes 3750,7500,15000,30000] [--rounds 3]

Pair work is the energy, the forces and the statistics of all angles (one sweep over the tiles), and the statistics of
all distances between latents; no face model is in it. Embeddings and latents are random, of 512 numbers each, and the
radius is such that every tile has pairs within it: the time does not depend on how many.

Each size has a process of its own. Peak memory is what that process grows by, embeddings and latents included.
Processor seconds, summed over the threads, tell how much of the time went to others: on an idle machine they are nearly
threads × time. The exponent is that of processor seconds against size, from one size to the next: 2 where the cost
grows with the number of pairs.
Last, at a small size, the same quantities by autograd through the whole matrix of pairs: both forms in turns in
one process for the time and the disagreement, and each in its own for the memory. And the leak audit of as many
references as training embeddings, as a multiple of the matrix products that it cannot do without.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

LENGTH, COEFFICIENT, RADIUS, THRESHOLD, SEED = 512, 1.0, 1.4, 1.4, 1
LARGEST_COMPARED = 3750  # autograd through the matrix of pairs takes about 50 bytes a pair
LARGEST_AUDITED = 10000


def inputs_of(size: int) -> tuple:
    """Random embeddings of unit norm and latents, `[size, 512]` each."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    embeddings = torch.randn(size, LENGTH, generator=generator)
    return torch.nn.functional.normalize(embeddings), torch.randn(size, LENGTH, generator=generator)


def tiled(embeddings, latents):
    """(gradients, energy, what the statistics say, seconds of the sweep, seconds of the latents)."""
    from brownid.embeddings.pairwise import latent_statistics, pairwise_forces

    begin = time.perf_counter()
    forces = pairwise_forces(embeddings, COEFFICIENT, RADIUS, THRESHOLD)
    middle = time.perf_counter()
    distances = latent_statistics(latents)
    seconds = middle - begin, time.perf_counter() - middle
    angles = forces.angles
    seen = (angles.minimum, angles.mean, angles.maximum, angles.share_above, float(angles.nearest.mean()))
    return forces.gradients, float(forces.energies.sum()) / 2, (*seen, *vars(distances).values()), *seconds


def plain(embeddings, latents):
    """The same as most would write it: the whole matrix of pairs, and autograd through it."""
    import torch

    from brownid.embeddings.angles import COSINE_SCALE

    begin = time.perf_counter()
    leaf = embeddings.clone().requires_grad_(True)
    unit = torch.nn.functional.normalize(leaf)
    upper = torch.ones(len(unit), len(unit), dtype=torch.bool).triu_(1)
    angles = torch.acos(COSINE_SCALE * (unit @ unit.T).clamp(-1, 1))
    energy = COEFFICIENT / 2 * (torch.relu(RADIUS - angles[upper]) ** 2).sum()
    (gradients,) = torch.autograd.grad(energy, leaf)
    angles = angles.detach()
    pairs, nearest = angles[upper], angles.fill_diagonal_(math.inf).amin(dim=1)
    seen = (pairs.min(), pairs.mean(), pairs.max(), (pairs > THRESHOLD).float().mean(), nearest.mean())
    middle = time.perf_counter()
    distances = torch.cdist(latents, latents)[upper]
    seen = (*seen, distances.min(), distances.mean(), distances.max())
    seconds = middle - begin, time.perf_counter() - middle
    return gradients, float(energy.detach()), tuple(map(float, seen)), *seconds


FORMS = {"tiled": tiled, "plain": plain}


def memory(name: str) -> float:
    """A line of this process's status in GiB: VmRSS now, or VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 2**20


def measure(form: str, size: int) -> dict[str, float]:
    """Seconds and peak memory growth of one form at one size, in this process."""
    FORMS[form](*inputs_of(64))
    before = memory("VmRSS")
    inputs = inputs_of(size)
    begin = time.process_time()
    *_, sweep, latents = FORMS[form](*inputs)
    processor = time.process_time() - begin
    return {"sweep": sweep, "latents": latents, "processor": processor, "gibibytes": memory("VmHWM") - before}


def compare(size: int, rounds: int) -> dict[str, float]:
    """Median seconds of both forms in turns, and how far their results are apart."""
    inputs = inputs_of(size)
    taken: dict[str, list[float]] = {form: [] for form in FORMS}
    found = {}
    for _ in range(rounds):
        for form, work in FORMS.items():
            *found[form], sweep, latents = work(*inputs)
            taken[form].append(sweep + latents)
    (gradients, energy, seen), (true, true_energy, truly_seen) = found["tiled"], found["plain"]
    seconds = {form: statistics.median(values) for form, values in taken.items()}
    return seconds | {
        "forces": float((gradients - true).norm() / true.norm()),
        "energy": abs(energy / true_energy - 1),
        "statistics": max(abs(a / b - 1) for a, b in zip(seen, truly_seen, strict=True)),
    }


def audit(size: int, rounds: int) -> dict[str, float]:
    """Median processor seconds of the leak audit of `size` references against as many others, and of its products."""
    from brownid.embeddings.distances import TILE, cosine_tiles, leak_audit, unit_rows

    references, training = (matrix.numpy() for matrix in inputs_of(size))

    def products() -> None:
        for _ in cosine_tiles(unit_rows(references), unit_rows(training), TILE):
            pass

    taken: dict[str, list[float]] = {"products": [], "audit": []}
    for _ in range(rounds):
        for name, work in {"products": products, "audit": lambda: leak_audit(references, training)}.items():
            begin = time.process_time()
            work()
            taken[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in taken.items()}


def apart(threads: int, *work: str) -> dict[str, float]:
    """What a new process says that does `work`."""
    command = [sys.executable, __file__, "--threads", str(threads), "--work", *work]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def report(sizes: list[int], threads: int, rounds: int) -> None:
    print(f"{threads} threads, embeddings and latents of {LENGTH} numbers; load average {os.getloadavg()[0]:.1f}")
    print("identities   sweep  latents    both  processor  exponent  peak growth  load average", flush=True)
    last = None
    for size in sizes:
        found = apart(threads, "measure", "tiled", str(size))
        processor = found["processor"]
        exponent = f"{math.log(processor / last[1]) / math.log(size / last[0]):.2f}" if last else "-"
        print(
            f"{size:10d} {found['sweep']:6.2f}s {found['latents']:7.2f}s {found['sweep'] + found['latents']:6.2f}s "
            f"{processor:9.2f}s {exponent:>9} {found['gibibytes']:8.2f} GiB {os.getloadavg()[0]:13.1f}",
            flush=True,
        )
        last = size, processor
    size = str(min(*sizes, LARGEST_COMPARED))
    found = apart(threads, "compare", size, str(rounds))
    peaks = {form: apart(threads, "measure", form, size)["gibibytes"] for form in FORMS}
    print(f"{size} identities, in turns: tiles {found['tiled']:.2f} s and {peaks['tiled']:.2f} GiB, ", end="")
    print(f"autograd through the matrix {found['plain']:.2f} s and {peaks['plain']:.2f} GiB: ", end="")
    print(f"{found['plain'] / found['tiled']:.1f} times the time, {peaks['plain'] / peaks['tiled']:.0f} the memory;")
    differences = ", ".join(f"{name} {found[name]:.1e}" for name in ("forces", "energy", "statistics"))
    print(f"relative differences: {differences}")
    size = str(min(max(sizes), LARGEST_AUDITED))
    found = apart(threads, "audit", size, str(rounds))
    print(
        f"leak audit of {size} references and as many training embeddings: {found['audit']:.2f} processor s, ", end=""
    )
    print(f"{found['audit'] / found['products']:.2f} times its matrix products")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", default="3750,7500,15000,30000", help="numbers of identities, smallest first")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.work is None:
        report([int(size) for size in options.sizes.split(",")], options.threads, options.rounds)
        return
    import torch

    torch.set_num_threads(options.threads)
    kind, *rest = options.work
    if kind == "measure":
        found = measure(rest[0], int(rest[1]))
    else:
        found = {"compare": compare, "audit": audit}[kind](int(rest[0]), int(rest[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
