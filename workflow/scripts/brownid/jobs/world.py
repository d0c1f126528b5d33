"""The embedded world as the capture stages need it."""

from collections.abc import Mapping
from typing import Any

from brownid.generators.loading import load_generator
from brownid.generators.procedural.world import GenuineWorld
from brownid.runtime import default_device


def embedded_world(settings: Mapping[str, Any]) -> GenuineWorld:
    """The people and the camera of the embedded world that `settings["generator"]` describes."""
    return GenuineWorld(load_generator(settings["generator"], default_device()), settings["seed"])


def capture_arguments(capture: Mapping[str, Any]) -> dict[str, Any]:
    """A `capture` section without the name of its world; lists as the settings classes want them."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in capture.items() if key != "generator"
    }
