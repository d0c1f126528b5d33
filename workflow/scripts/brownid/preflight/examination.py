"""The whole examination of a configuration, in the order in which it is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from brownid.configuration.files import check_repetition
from brownid.configuration.loading import load_configuration
from brownid.errors import BrownidError
from brownid.models.catalogue import read_catalogue
from brownid.preflight.disk import examine_disk
from brownid.preflight.files import examine_databases, examine_files, examine_licences
from brownid.preflight.finding import Finding
from brownid.preflight.machine import GIBIBYTE, Machine, examine_machine, this_machine
from brownid.preflight.memory import examine_memory
from brownid.preflight.packages import examine_packages

CONFIGURATION = "Configuration"


def examine(
    configfiles: Sequence[str | Path],
    *,
    gpu_memory: float | None = None,
    free_disk: float | None = None,
    quick: bool = False,
    machine: Machine | None = None,
) -> list[Finding]:
    """All findings about configuration files, merged in their order as Snakemake merges them.

    `gpu_memory` (GiB) replaces the memory of this machine's GPU, `free_disk` (GiB) what is free here, `machine` what
    is found here; `quick` compares sizes of files, not their checksums, and counts no database. A configuration that
    cannot be used is the only finding.
    """
    try:
        config = load_configuration(merged(configfiles), files=False)
        catalogue = read_catalogue(config["models"]["catalogue"])
    except BrownidError as error:
        return [Finding("blocks", CONFIGURATION, str(error))]
    machine = machine or this_machine()
    gpu_bytes = machine.gpu_bytes if gpu_memory is None else gpu_memory * GIBIBYTE
    names = ", ".join(map(str, configfiles))
    return [
        Finding("fine", CONFIGURATION, f"{names}: complete and consistent"),
        *examine_files(config, catalogue, quick),
        *(() if quick else examine_databases(config)),
        *examine_packages(config),
        *examine_machine(machine),
        *examine_memory(config, catalogue, gpu_bytes),
        *examine_disk(config, catalogue, None if free_disk is None else free_disk * GIBIBYTE),
        *examine_licences(config, catalogue),
    ]


def merged(configfiles: Sequence[str | Path]) -> dict[str, Any]:
    """The content of configuration files, merged in their order as Snakemake merges them."""
    together: dict[str, Any] = {}
    for path in configfiles:
        try:
            check_repetition(path)
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise BrownidError(f"{path}: cannot read the configuration: {error.strerror}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such day
            raise BrownidError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, Mapping):
            raise BrownidError(f"{path}: a configuration is a file of sections, see config/config.yaml")
        _merge(together, content)
    return together


def _merge(merged: dict[str, Any], content: Mapping) -> None:
    for key, value in content.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            _merge(merged[key], value)
        else:
            merged[key] = dict(value) if isinstance(value, Mapping) else value
