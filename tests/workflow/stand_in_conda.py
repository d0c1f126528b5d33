"""A stand-in for conda, for where no channel can be reached: environments are Python virtual environments.

It solves and downloads nothing: the packages are those of the Python that runs it. What it makes real is everything
that Snakemake does around conda: one environment a file, made once, activated for each job.
"""

import json
import os
import sys
import sysconfig
import venv
from pathlib import Path

VERSION = "24.7.1"  # the oldest that Snakemake takes


def main(arguments):
    """The few commands that Snakemake gives."""
    if arguments == ["--version"]:
        print(f"conda {VERSION}")
    elif arguments[:1] == ["info"]:
        print(json.dumps({"conda_prefix": os.environ["STAND_IN_PREFIX"], "platform": "linux-64"}))
    elif arguments[:1] == ["config"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ["env", "create"]:
        prefix, file = (Path(arguments[arguments.index(option) + 1]) for option in ("--prefix", "--file"))
        create(prefix, file)


def create(prefix, file):
    """An environment that has what this Python has, and notes when it is used."""
    venv.create(prefix, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(prefix)}))
    note = "import pathlib, sys; (pathlib.Path(sys.prefix) / 'used').touch()"
    (packages / "stand_in.pth").write_text(f"{sysconfig.get_path('purelib')}\n{note}\n")
    (prefix / "described.yaml").write_bytes(file.read_bytes())


def install(folder):
    """Put `conda`, and the script that activates its environments, below a folder; returns that of the programs."""
    programs = Path(folder) / "bin"
    programs.mkdir(parents=True)
    conda = programs / "conda"
    conda.write_text(f'#!/bin/sh\nSTAND_IN_PREFIX="{folder}" exec "{sys.executable}" "{__file__}" "$@"\n')
    conda.chmod(0o755)
    (programs / "activate").write_text('export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n')
    return programs


if __name__ == "__main__":
    main(sys.argv[1:])
