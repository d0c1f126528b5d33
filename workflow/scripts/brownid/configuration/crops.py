"""Do the crops that one entry makes fit the network that reads them?"""

from collections.abc import Mapping

from brownid.errors import BrownidError


def check_crops(config: Mapping) -> None:
    """Raise a `BrownidError` for the first entry whose crops are contradictory, or not those that are read."""
    _check_faces(config)
    _check_networks(config)


def _check_faces(config: Mapping) -> None:
    """Where an average face lies is said once, left before right."""
    for name, entry in config["generators"].items():
        if "factory" in entry:
            continue  # its keys are those of the user's own function
        place, eyes, landmarks = f"generators.{name}", entry.get("eyes"), entry.get("landmarks")
        if eyes and landmarks:
            raise BrownidError(f"{place} has eyes and landmarks, which begin with the eyes: leave one of them out")
        for key, points in (("eyes", eyes), ("landmarks", landmarks)):
            if points and points[0][0] >= points[1][0]:
                raise BrownidError(f"{place}.{key} begin with the right eye of the image: give its left one first")


def _check_networks(config: Mapping) -> None:
    """A network that is trained on a database, or embeds one, reads the workflow's aligned images."""
    guards = {
        entry["network"]
        for entry in config["references"].values()
        if entry["leak_guard"] or entry["gallery"] in config["databases"]
    }
    for name, network in config["networks"].items():
        for key in ("side", "template"):
            wanted = config["images"][key]
            if (network["database"] or name in guards) and network[key] != wanted:
                raise BrownidError(
                    f"networks.{name}.{key} is {network[key]!r}, but images.{key} is {wanted!r}: the network reads the "
                    "aligned images of a database, so both must be the same"
                )
