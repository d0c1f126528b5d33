"""What a shard of images takes: rendering, then encoding, then writing, against all three at once.

    python benchmarks/rendering.py [--images 512] [--rounds 5] [--threads 1] [--encoders 1]
                                   [--resolution 128] [--channel-base 256] [--device cpu] [--wait 0]

A randomly initialised StyleGAN2 of `resolution` pixels (as an FFHQ generator for its crop), cropped to 112 pixels. The
four forms take turns: rendering alone, encoding alone, one after the other (as up to version 0.3), and together, as the
stage does. A shard should take the time of the slower of the first two, not their sum. Times are the shortest of all
rounds by the clock, since other jobs on the machine only add to them; both ways write the same bytes, which is checked.
With `--wait MILLISECONDS` the images are rendered once, and rendering one of them is waiting, as for a GPU.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

CROP, SEED = 112, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 512), ("rounds", 5), ("threads", 1), ("encoders", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--channel-base", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--wait", type=float, default=0.0)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        forms, images = prepared(given, Path(folder))
        shortest: dict[str, float] = {}
        for _ in range(given.rounds):
            for name, form in forms.items():
                started = time.perf_counter()
                form()
                taken = time.perf_counter() - started
                shortest[name] = min(taken, shortest.get(name, taken))
        if (Path(folder) / "serial").read_bytes() != (Path(folder) / "together").read_bytes():
            sys.exit("The two ways wrote different bytes.")
    for name, taken in shortest.items():
        print(f"{name:<14} {taken / images * 1e3:.3f} ms an image, {images / taken:.0f} images/s")
    slower = max(shortest["rendering"], shortest["encoding"])
    print(f"one after the other {shortest['serial'] / shortest['together']:.2f} times as long as together;")
    print(f"together {shortest['together'] / slower:.2f} times the slower of rendering and encoding")


def prepared(given: argparse.Namespace, folder: Path) -> tuple[dict[str, Callable[[], object]], int]:
    """The forms by name, and the number of images of each."""
    import numpy as np
    import torch

    from brownid.facemodel.loading import BATCH_SIZE, crop_for, load_generator, random_latents, render_in_batches
    from brownid.runtime.randomness import NoiseKey
    from brownid.samples import png
    from brownid.samples.images import write_encoded_shard, write_image_shard

    sizes = {"resolution": given.resolution, "channel_base": given.channel_base}
    generator = load_generator({"family": "stylegan2", "random": sizes, "seed": SEED, "noise": "fixed"}, given.device)
    crop = crop_for(generator, "arcface", CROP)
    numbers = np.arange(given.images)
    labels = ["reference"] * given.images
    with torch.inference_mode():
        latents = random_latents(generator, numbers.tolist(), 0.7, SEED)

    def batches():
        if not given.wait:
            yield from render_in_batches(generator, crop, latents, NoiseKey(SEED, numbers.tolist(), None))
            return
        for start in range(0, given.images, BATCH_SIZE):
            batch = rendered[start : start + BATCH_SIZE]
            time.sleep(given.wait / 1e3 * len(batch))
            yield batch

    wait, given.wait = given.wait, 0.0
    rendered = np.concatenate(list(batches()))
    given.wait = wait

    def serial():
        encoded = [png.encode(image) for image in np.concatenate(list(batches()))]
        write_encoded_shard(folder / "serial", "people", numbers, labels, encoded, image_size=CROP)

    def together():
        path = folder / "together"
        write_image_shard(path, "people", numbers, labels, batches(), image_size=CROP, threads=given.encoders)

    def encode():
        write_image_shard(folder / "encoded", "people", numbers, labels, rendered, threads=given.encoders)

    forms = {"rendering": lambda: list(batches()), "encoding": encode, "serial": serial, "together": together}
    return forms, given.images


if __name__ == "__main__":
    main()
