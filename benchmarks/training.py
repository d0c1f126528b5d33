"""Images a second of our FR training, and of a plain PyTorch loop on the same network, images and batch size.

    python benchmarks/training.py [--images 1024] [--image-size 56] [--architecture slim_iresnet] [--family slim]
                                  [--batch-size 64] [--rounds 5] [--threads 1] [--device cpu] [--precision float32]

The plain loop is what one writes first: a Dataset that decodes a PNG with Pillow, flips it and makes a tensor, a
DataLoader without workers, torch.optim.SGD, the same margin head. "pixels in memory" has the decoded images in both.
"all augmentations" are ours alone. Epochs of all forms take turns; times are medians
(on a CPU of processor seconds of this process, since other jobs share the machine), believe the ratios.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

SEED, IMAGES_PER_CLASS = 1, 8
FLIPS = {"crop_probability": 0.0, "low_resolution_probability": 0.0, "photometric_probability": 0.0}


def write_images(folder: Path, count: int, side: int) -> list[Path]:
    """A shard of smooth random pictures, which compress about as faces do."""
    import numpy as np

    from brownid.samples.images import write_image_shard

    random = np.random.default_rng(SEED)
    coarse = random.integers(0, 256, (count, side // 8, side // 8, 3)).repeat(8, 1).repeat(8, 2)
    images = (coarse + random.normal(0, 6, coarse.shape)).clip(0, 255).astype(np.uint8)
    labels = [f"image_{number % IMAGES_PER_CLASS}" for number in range(count)]
    write_image_shard(folder / "images.arrow", "people", np.arange(count) // IMAGES_PER_CLASS, labels, images)
    return [folder / "images.arrow"]


def ours(shards: list[Path], arguments: argparse.Namespace, keep: str, **changes) -> Callable[[], None]:
    """An epoch of our training."""
    import torch

    from brownid.jobs.resume import Termination
    from brownid.training.data import TrainingImages
    from brownid.training.loop import Training

    device = torch.device(arguments.device)
    data = TrainingImages(shards, arguments.image_size, keep=keep, device=device)
    training = Training(
        settings(arguments, **changes), data,
        image_size=arguments.image_size, seed=SEED, device=device, threads=arguments.threads,
    )  # fmt: skip
    return lambda: training._train_epoch(len(training.history), Termination())


def settings(arguments: argparse.Namespace, **changes):
    """The recipe of all forms."""
    from brownid.training.settings import TrainingSettings

    return TrainingSettings(
        family=arguments.family, architecture=arguments.architecture, batch_size=arguments.batch_size,
        precision=arguments.precision, learning_rate=0.01, epochs=1000, milestones=(999,), **changes,
    )  # fmt: skip


def plain(shards: list[Path], arguments: argparse.Namespace, decoded: bool) -> Callable[[], None]:
    """An epoch of a plain PyTorch loop."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.nn import functional as F

    from brownid.recognition.backbones import backbone
    from brownid.recognition.embedding import raw_embeddings
    from brownid.samples.images import ImageShards
    from brownid.training.module import make_head

    stored, device = ImageShards(shards), torch.device(arguments.device)
    pixels = stored.decode(range(len(stored))) if decoded else None

    class Faces(torch.utils.data.Dataset):
        def __len__(self):
            return len(stored)

        def __getitem__(self, index):
            image = torch.from_numpy(array(index)).permute(2, 0, 1).float() / 127.5 - 1
            return (image.flip(2) if torch.rand(()) < 0.5 else image), int(stored.identities[index])

    def array(index):
        if pixels is not None:
            return pixels[index]
        return np.array(Image.open(io.BytesIO(stored.encoded(index))).convert("RGB"))

    torch.manual_seed(SEED)
    network = backbone(arguments.family, arguments.architecture, arguments.image_size).to(device).train()
    head = make_head(settings(arguments), len(stored) // IMAGES_PER_CLASS).to(device)
    parameters = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)
    loader = torch.utils.data.DataLoader(Faces(), arguments.batch_size, shuffle=True, drop_last=True)

    def epoch() -> None:
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=arguments.precision == "bfloat16"):
                embeddings = raw_embeddings(network, images)
            loss = F.cross_entropy(head(embeddings, labels), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()  # most loops print it

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 1024), ("image-size", 56), ("batch-size", 64), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (
        ("family", "slim"), ("architecture", "slim_iresnet"), ("device", "cpu"), ("precision", "float32"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", default=default)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} threads, {arguments.precision}")
    with tempfile.TemporaryDirectory() as folder:
        shards = write_images(Path(folder), arguments.images, arguments.image_size)
        forms = {
            "plain, decoded in each epoch": plain(shards, arguments, decoded=False),
            "ours, decoded in each epoch": ours(shards, arguments, "none", **FLIPS),
            "plain, pixels in memory": plain(shards, arguments, decoded=True),
            "ours, pixels in memory": ours(shards, arguments, "auto", **FLIPS),
            "ours, pixels in memory, all augmentations": ours(shards, arguments, "auto", erasing_probability=0.2),
        }
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for number in range(arguments.rounds + 1):
            for name, epoch in forms.items():
                before = time.process_time() if arguments.device == "cpu" else time.perf_counter()
                epoch()
                after = time.process_time() if arguments.device == "cpu" else time.perf_counter()
                if number:  # the first warms up
                    seconds[name].append(after - before)
    base = statistics.median(seconds["plain, pixels in memory"])
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:45} {arguments.images / median:8.0f} images/s  {base / median:5.2f} of plain in memory")


if __name__ == "__main__":
    main()
