"""The state of a job: one file for each of the settings it ran under, in a folder of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.errors import BrownidError
from brownid.resuming import RUN, StateFile, differences, read_owner, state_path
from brownid.runtime import logger

SUFFIX = ".safetensors"
SHOWN = 4


def open_state(
    folder: str | Path, belongs_to: Mapping[str, Any], saving: Mapping[str, float] | None = None
) -> StateFile:
    """The state of a job in `folder`, for what decides its result.

    States there that belong to other settings are refused: the log names what differs. They stay until the job has
    ended, so that going back to their settings goes on from them.
    """
    path = state_path(folder, belongs_to)
    for other in sorted(Path(folder).glob(f"*{SUFFIX}")):
        if other != path:
            logger.info("not going on from %s: %s", other, _reason(other, belongs_to))
    return StateFile(path, belongs_to, **(saving or {}))


def _reason(other: Path, belongs_to: Mapping[str, Any]) -> str:
    try:
        theirs = read_owner(other)
        theirs.pop(RUN, None)  # what the run adds follows from the rest, and would fill the line
        return "it belongs to other settings, " + "; ".join(differences(theirs, belongs_to)[:SHOWN])
    except BrownidError as error:  # another run's damage must not stop this one
        return str(error)
