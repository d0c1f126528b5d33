"""What decoding one image of 112 pixels takes by Pillow alone, and by OpenCV where the file is plain.

    python benchmarks/decoding.py [--rounds 300] [--images 10] [--image-size 112]

Smooth noise, as JPEG (quality 95) and as PNG of a shard, one thread. Both ways take turns in one process; the shortest
round of each counts, of so few images that other jobs on the machine leave some rounds alone. That both give the same
pixels is checked.
"""

import argparse
import io
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 300), ("images", 10), ("image-size", 112)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    import numpy as np

    from brownid.databases import decoding

    print(f"{'file':<6} {'bytes':>6} {'Pillow ms':>10} {'ours ms':>8} {'times':>6} {'ours images/s':>14}")
    plain = decoding.decode_plain
    for kind, files in encoded(given.images, given.image_size).items():
        shortest = {}
        for _ in range(given.rounds):
            for name, first in (("Pillow", lambda data: None), ("ours", plain)):
                decoding.decode_plain = first
                started = time.perf_counter()
                pixels = [decoding.decode_rgb(data) for data in files]
                taken = (time.perf_counter() - started) / len(files) * 1e3
                shortest[name] = min(taken, shortest.get(name, (taken,))[0]), pixels
        (pillow, expected), (ours, found) = shortest["Pillow"], shortest["ours"]
        if not np.array_equal(expected, found):
            sys.exit(f"{kind}: the pixels differ.")
        size = sum(map(len, files)) // len(files)
        print(f"{kind:<6} {size:>6} {pillow:>10.3f} {ours:>8.3f} {pillow / ours:>6.2f} {1e3 / ours:>14.0f}")


def encoded(count: int, image_size: int) -> dict[str, list[bytes]]:
    """The same images as files of each kind."""
    import cv2
    import numpy as np
    from PIL import Image

    from brownid.samples import png

    random, files = np.random.default_rng(SEED), {"JPEG": [], "PNG": []}
    for _ in range(count):
        noise = random.normal(size=(image_size, image_size, 3))
        smooth = 12 * cv2.GaussianBlur(noise, (0, 0), image_size / 28) + 1.2 * cv2.GaussianBlur(noise, (0, 0), 1.2)
        pixels = (50 * smooth / smooth.std() + 128).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
        files["JPEG"].append(buffer.getvalue())
        files["PNG"].append(png.encode(pixels))
    return files


if __name__ == "__main__":
    main()
