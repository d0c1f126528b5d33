"""Time, memory and quality of packing references on the hypersphere.

    python benchmarks/packing.py compare [--references 2000] [--gallery 2000] [--rounds 5] [--threads 1] [--device cpu]
    python benchmarks/packing.py ends    [--references 2000] [--iterations 500] [--device cpu]
    python benchmarks/packing.py sizes   [--sizes 10000,50000,300000] [--iterations 20] [--device cuda]
    python benchmarks/packing.py quality [--references 10000] [--iterations 500] [--device cpu]
    python benchmarks/packing.py codes   [--starts 50]

Embeddings are random, of 512 numbers each. `compare` takes in turns, in one process, an iteration of ours in float32
and in bfloat16, and of the form that most would write: a parameter, the whole matrices of cosines, autograd, torch's
Adam, and normalisation. The peak memory of each is the growth of its own process after start and
gallery are loaded; 12 bytes per number of these are references and Adam's moments, which every form
holds. `ends` compares where runs in float32
and bfloat16 end. `sizes` measures iterations and memory by the number of references. `quality` compares smallest and
mean nearest-neighbour angles with the bound that no packing exceeds. `codes` counts the random starts that reach the
best spherical codes; antipodal ones are random lines, both ends of each.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

LENGTH, ALPHA, RATE = 512, 0.5, 0.01
FORMS = ("plain", "float32", "bfloat16")


def vectors(count: int, seed: int, device: str = "cpu", length: int = LENGTH):
    """Random embeddings `[count, length]`."""
    import torch

    drawn = torch.randn(count, length, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn).to(device)


def packed(references: int, iterations: int, precision: str, device: str, members: int | None = None, **more):
    """Our packing of random references."""
    from brownid.hyperface.packing import pack
    from brownid.hyperface.settings import PackingSettings

    settings = PackingSettings(iterations=iterations, precision=precision, gallery_coefficient=ALPHA, **more)
    gallery = vectors(references if members is None else members, 2, device)
    return pack(vectors(references, 1, device), gallery, settings, seed=1)


class Plain:
    """As most would write it: whole matrices, autograd, torch's Adam."""

    def __init__(self, start, gallery) -> None:
        import torch

        self.value, self.gallery = torch.nn.Parameter(start.clone()), gallery
        self.optimiser = torch.optim.Adam([self.value], lr=RATE)

    def iterate(self) -> None:
        import torch

        self.optimiser.zero_grad()
        unit = torch.nn.functional.normalize(self.value)
        distances = (1 - unit @ unit.T).fill_diagonal_(math.inf)
        pulls = 1 - unit @ self.gallery.T
        (-distances.min(dim=1).values.mean() + ALPHA * pulls.min(dim=1).values.mean()).backward()
        self.optimiser.step()
        with torch.no_grad():
            self.value.copy_(torch.nn.functional.normalize(self.value))


class Ours:
    """Iterations of our packing, one by one."""

    def __init__(self, start, gallery, precision: str) -> None:
        import torch

        from brownid.embeddings.neighbours import NeighbourSearch, Panel
        from brownid.hyperface.packing import Descent
        from brownid.hyperface.settings import PackingSettings

        settings, search = PackingSettings(gallery_coefficient=ALPHA, learning_rate=RATE), NeighbourSearch(start.device)
        self.descent = Descent(gallery, settings, search, precision=precision, seed=1, in_place=True)
        self.panel = Panel(start.clone(), precision)
        self.moments = torch.zeros_like(start), torch.zeros_like(start)
        self.iteration = 0

    def iterate(self) -> None:
        self.descent.move_all(self.panel, self.moments, self.iteration)
        self.iteration += 1


def form(name: str, references: int, members: int, device: str):
    """One of the forms, before its first iteration."""
    start, gallery = vectors(references, 1, device), vectors(members, 2, device)
    return Plain(start, gallery) if name == "plain" else Ours(start, gallery, name)


def wait(device: str) -> None:
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def in_turns(references: int, members: int, rounds: int, device: str) -> dict[str, float]:
    """Median seconds of an iteration of each form."""
    runs = {name: form(name, references, members, device) for name in FORMS}
    taken = {name: [] for name in FORMS}
    for number, (name, run) in itertools.product(range(rounds + 1), runs.items()):
        wait(device)
        begin = time.perf_counter()
        run.iterate()
        wait(device)
        if number:  # the first one allocates
            taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def status(name: str) -> float:
    """A line of this process's status in MiB: VmRSS now, or VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 2**10


def growth(name: str, references: int, members: int, device: str) -> float:
    """MiB that this process grows by in a few iterations of a form, beyond start and gallery."""
    import torch

    run = form(name, 64, 64, device)  # whatever the first use of torch takes
    for _ in range(2):
        run.iterate()
    start, gallery = vectors(references, 1, device), vectors(members, 2, device)
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak that drawing the numbers had
        before = status("VmRSS")
    run = Plain(start, gallery) if name == "plain" else Ours(start, gallery, name)
    for _ in range(3):
        run.iterate()
    if torch.device(device).type == "cuda":
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return status("VmHWM") - before


def apart(options: argparse.Namespace, *work: object) -> dict:
    """What a new process says that does `work`."""
    command = [sys.executable, __file__, "work", *map(str, work), "--threads", str(options.threads)]
    command += ["--device", options.device, "--references", str(options.references), "--gallery", str(options.gallery)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compare(options: argparse.Namespace) -> None:
    seconds = in_turns(options.references, options.gallery, options.rounds, options.device)
    mebibytes = {name: apart(options, "growth", name)["mebibytes"] for name in FORMS}
    print(f"{options.references} references, gallery of {options.gallery}, {options.threads} threads:")
    for name in FORMS:
        print(
            f"{name:9} {1000 * seconds[name]:8.2f} ms an iteration, plain {seconds['plain'] / seconds[name]:5.2f} "
            f"times that; {mebibytes[name]:7.1f} MiB, 1/{mebibytes['plain'] / mebibytes[name]:.1f} of plain"
        )


def describe(found) -> str:
    last = {name: values[-1] for name, values in found.statistics.items()}
    return f"smallest {last['nn_min']:.5f}, mean {last['nn_avg']:.5f} rad, energy {last['energy']:.5f}"


def ends(options: argparse.Namespace) -> None:
    every = {"decay_every": max(1, options.iterations // 20), "record_every": max(1, options.iterations)}
    for precision in FORMS[1:]:
        begin = time.perf_counter()
        found = packed(options.references, options.iterations, precision, options.device, options.gallery, **every)
        print(f"{precision:9} {describe(found)}, {time.perf_counter() - begin:.1f} s", flush=True)


def sizes(options: argparse.Namespace) -> None:
    import torch

    for count in map(int, options.sizes.split(",")):
        for precision in FORMS[1:]:
            run = form(precision, count, count, options.device)
            run.iterate()
            wait(options.device)
            begin = time.perf_counter()
            for _ in range(options.iterations):
                run.iterate()
            wait(options.device)
            each = (time.perf_counter() - begin) / options.iterations
            on_gpu = torch.device(options.device).type == "cuda"
            peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else status("VmHWM")
            print(
                f"{count:7d} references, {precision:9} {1000 * each:10.2f} ms an iteration, 100 000 of them in "
                f"{1e5 * each / 60:8.1f} min, peak {peak:8.0f} MiB with start and gallery",
                flush=True,
            )
            del run


def quality(options: argparse.Namespace) -> None:
    from brownid.hyperface.energy import simplex_bound

    count, iterations = options.references, options.iterations
    begin = time.perf_counter()
    found = packed(
        *(count, iterations, "auto", options.device, options.gallery),
        decay_every=max(1, iterations // 20),
        record_every=max(1, iterations // 10),
    )
    numbers = found.statistics
    print(f"{count} references in {LENGTH} dimensions, bound {simplex_bound(count, LENGTH):.4f} rad")
    for record, iteration in enumerate(numbers["iteration"]):
        smallest, mean = numbers["nn_min"][record], numbers["nn_avg"][record]
        print(f"after {iteration:6.0f} iterations: smallest {smallest:.4f}, mean {mean:.4f} rad")
    print(f"{(time.perf_counter() - begin) / max(1, iterations):.3f} s an iteration")


def codes(options: argparse.Namespace) -> None:
    import torch

    from brownid.hyperface.packing import pack
    from brownid.hyperface.settings import PackingSettings

    settings = PackingSettings(iterations=600, learning_rate=0.3, decay_every=15, record_every=600)
    best = {(9, 8): math.acos(-1 / 8), (16, 8): math.pi / 2, (16, 5): math.acos(1 / 5), (27, 6): math.acos(1 / 4)}
    for (count, dimension), angle in {**best, (24, 4): math.pi / 3}.items():
        for kind in ("any", "antipodal"):
            if kind == "antipodal" and count % 2:
                continue
            reached = 0
            for seed in range(options.starts):
                start = vectors(count, seed, length=dimension)
                if kind == "antipodal":
                    start = torch.cat([start[: count // 2], -start[: count // 2]])
                end = pack(start, None, settings, seed=1).statistics["nn_min"][-1]
                reached += bool(end > angle - 1e-3)
            print(
                f"{count} vectors in {dimension} dimensions, {angle:.4f} rad: reached from {reached} of "
                f"{options.starts} {kind} random starts",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whats = {"compare": compare, "ends": ends, "sizes": sizes, "quality": quality, "codes": codes}
    parser.add_argument("what", choices=[*whats, "work"])
    parser.add_argument("work", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--references", type=int, help="default 2000, for quality 10000")
    parser.add_argument("--gallery", type=int, help="default: as many as references")
    parser.add_argument("--iterations", type=int, help="default 500, for sizes 20")
    parser.add_argument("--sizes", default="10000,50000,300000", help="numbers of references")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.references = options.references or (10_000 if options.what == "quality" else 2000)
    options.gallery = options.gallery or options.references
    options.iterations = options.iterations or (20 if options.what == "sizes" else 500)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(options.threads)
    if options.what == "work":
        _, name = options.work
        found = growth(name, options.references, options.gallery, options.device)
        print(json.dumps({"mebibytes": found}))
        return
    print(f"device {options.device}, load average {os.getloadavg()[0]:.1f}", flush=True)
    whats[options.what](options)


if __name__ == "__main__":
    main()
