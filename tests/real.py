"""Run tests/real.yaml: real architectures with random weights, from Langevin to a verified release, on a CPU.

python tests/real.py [FOLDER]    in FOLDER, which is kept, or in a temporary one
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone

PROJECT = Path(__file__).parents[1]
CONFIGURATION = PROJECT / "tests" / "real.yaml"


def write_weights(folder: Path) -> None:
    """Write the weights of the FR networks that the configuration names, drawn at random."""
    for number, network in enumerate(yaml.safe_load(CONFIGURATION.read_text())["networks"].values()):
        torch.manual_seed(number)
        path = folder / network["weights"]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_backbone(path, backbone(network["family"], network["architecture"]))


def main(folder: Path) -> None:
    """Run everything in `folder` and say how long it took."""
    started = time.monotonic()
    write_weights(folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", folder]
    command += ["--cores", "2", "--quiet", "progress", "rules", "--configfile", CONFIGURATION]
    status = subprocess.run(list(map(str, command)), check=False).returncode
    if status:
        sys.exit(status)
    print((folder / "results/release/real.verified.txt").read_text().strip())
    print(f"real architectures: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
