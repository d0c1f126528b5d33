"""Kernels and bytes of a force pass: E = F(A(G(w))) and its gradient in w, for a StyleGAN2 of 256 pixels, an iResNet50
and a batch of 64.

    python benchmarks/force_pass.py [--write]

Nothing is computed: operations are counted on tensors that have shapes only, by the rule of tests/device/counting.py.
`--write` keeps the table in benchmarks/force_pass.csv, which a test compares with what the code does (within 5 %).
"""

import argparse
import csv
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
for folder in ("workflow/scripts", "tests/device"):
    sys.path.insert(0, str(ROOT / folder))

TABLE = Path(__file__).with_suffix(".csv")
FIELDS = ("precision", "chains", "kind", "kernels", "gigabytes", "teraflop")
BATCH = 64


def face_model(precision: str):
    """StyleGAN2 with the channels of the published one for 256 pixels, and iResNet50: architectures without weights."""
    import torch

    from brownid.facemodel.loading import crop_for
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.generators.stylegan2.generator import StyleGAN2
    from brownid.generators.stylegan2.settings import StyleGAN2Settings
    from brownid.recognition.backbones import backbone

    generator = StyleGAN2(
        StyleGAN2Settings(resolution=256, channel_base=16384),
        noise="fixed",
        compute_dtype=getattr(torch, precision),
        channels_last=True,
    )
    network = backbone("nizhib", "iresnet50")
    return GeneratorFaceModel(generator, crop_for(generator, "two_eye", 112), network, precision)


def rows(precision: str, chains: str) -> list[dict]:
    """The table's rows of a number format; elementwise `chains` are "compiled", as on a GPU, or run in "steps"."""
    import torch
    from counting import counted, shapes_only

    from brownid.facemodel.batched import _vjp

    model = face_model(precision)
    with shapes_only():
        latents = torch.zeros(BATCH, 512, requires_grad=True)

        def force_pass() -> None:
            embeddings = model.embed(latents)
            _vjp(latents, embeddings, torch.zeros_like(embeddings))

        counts = counted(force_pass, compiled_chains=chains == "compiled")
    return [
        {
            "precision": precision,
            "chains": chains,
            "kind": kind,
            "kernels": c.kernels,
            "gigabytes": round(c.bytes / 1e9, 2),
            "teraflop": round(c.operations / 1e12, 3),
        }
        for kind, c in sorted(counts.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    table = [row for p in ("float32", "bfloat16") for chains in ("steps", "compiled") for row in rows(p, chains)]
    for row in table:
        print(*(f"{row[field]!s:>12}" for field in FIELDS))
    if options.write:
        with open(TABLE, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
