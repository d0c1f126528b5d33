"""The whole examination of a configuration, in the order in which it is told."""

from collections.abc import Sequence
from pathlib import Path

from brownid.configuration.loading import load_configuration
from brownid.configuration.merging import merged
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
    values: Sequence[str] = (),
    *,
    gpu_memory: float | None = None,
    free_disk: float | None = None,
    quick: bool = False,
    machine: Machine | None = None,
) -> list[Finding]:
    """All findings about configuration files and values of --config, see `brownid.configuration.merging.merged`.

    `gpu_memory` (GiB) replaces the memory of this machine's GPU, `free_disk` (GiB) what is free here, `machine` what
    is found here; `quick` compares sizes of files, not their checksums, and counts no database. A configuration that
    cannot be used is the only finding.
    """
    try:
        config = load_configuration(merged(configfiles, values), files=False)
        catalogue = read_catalogue(config["models"]["catalogue"])
    except BrownidError as error:
        return [Finding("blocks", CONFIGURATION, str(error))]
    machine = machine or this_machine()
    gpu_bytes = machine.gpu_bytes if gpu_memory is None else gpu_memory * GIBIBYTE
    names = ", ".join(map(str, configfiles))
    return [
        Finding("fine", CONFIGURATION, f"{names}: complete and consistent; paths are relative to {Path.cwd()}"),
        *examine_files(config, catalogue, quick),
        *(() if quick else examine_databases(config)),
        *examine_packages(config),
        *examine_machine(machine),
        *examine_memory(config, catalogue, gpu_bytes),
        *examine_disk(config, catalogue, None if free_disk is None else free_disk * GIBIBYTE),
        *examine_licences(config, catalogue),
    ]
