"""Write a small release, verify it, and read a data set back from it.

A release holds each data set as a collection of latents and embeddings in the published format, with its images and
its settings. Run it with `python examples/release.py`; it writes the folder release/.
"""

from pathlib import Path

import numpy as np

from brownid import (
    DatasetPart,
    ReleaseDescription,
    SampleCollection,
    build_release,
    read_command,
    verify,
    write_command,
    write_image_shard,
)


def main() -> None:
    """Release three identities of random numbers and black images."""
    random = np.random.default_rng(1)
    embeddings = random.standard_normal((3, 512))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = ["reference"] * 3
    SampleCollection(
        latents=random.standard_normal((3, 512)),
        embeddings=embeddings,
        identities=range(3),
        labels=labels,
        generator="my generator",
        recognition="my network",
    ).save("samples.h5")
    write_image_shard("images.parquet", "my_references", range(3), labels, np.zeros((3, 32, 32, 3), np.uint8))
    write_command("command.yml", settings={"algorithm": "random"}, seed=1, inputs={}, command="example")
    build_release(
        "release",
        description=ReleaseDescription("my_release", "Three identities.", creator="me", licence="CC-BY-4.0"),
        datasets=[DatasetPart("my_references", Path("samples.h5"), Path("command.yml"), (Path("images.parquet"),))],
    )

    print("problems:", verify("release") or "none")
    folder = Path("release/my_references")
    samples = SampleCollection.load(folder / "samples.h5")
    print(len(samples), "samples of", samples.generator, "by seed", read_command(folder / "command.yml")["seed"])
    print(len(list(folder.glob("images*/*/*.png"))), "images")


if __name__ == "__main__":
    main()
