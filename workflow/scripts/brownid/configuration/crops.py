"""Crops that each network reads, checked against those that other entries produce."""

from collections.abc import Mapping

from brownid.runtime.errors import BrownidError


def check_crops(config: Mapping) -> None:
    """Raise a `BrownidError` for the first entry whose crops are contradictory, or not those that are read."""
    _check_faces(config)
    _check_networks(config)
    _check_benchmarks(config)


def crop_read(config: Mapping, model: str) -> tuple[str, int]:
    """Template and side of the crops that a networks or training entry reads.

    A trained network reads what its datasets have; where they are on several templates, `images.template`.
    """
    if network := config["networks"].get(model):
        return network["template"], network["image_size"]
    moved, images = config["realigned"], config["images"]
    found = {
        moved[name]["template"] if name in moved else images["template"]
        for name in config["training"][model]["datasets"]
    }
    return found.pop() if len(found) == 1 else images["template"], images["image_size"]


def has_fixed_crops(benchmark: Mapping) -> bool:
    """Whether a benchmarks entry holds crops that no key says the template of: they are scored as they are."""
    return benchmark["alignment"] is None and (bool(benchmark["file"]) or benchmark["format"] == "adaface")


def _check_faces(config: Mapping) -> None:
    """Where an average face lies is said once, left before right."""
    for name, entry in config["generators"].items():
        if "factory" in entry:
            continue  # its keys are those of the user's own function
        place, eyes, landmarks = f"generators.{name}", entry.get("eyes"), entry.get("landmarks")
        if eyes and landmarks:
            raise BrownidError(f"{place} has eyes and landmarks, which begin with the eyes: leave one of them out.")
        for key, points in (("eyes", eyes), ("landmarks", landmarks)):
            if points and points[0][0] >= points[1][0]:
                raise BrownidError(f"{place}.{key} begin with the right eye of the image: give its left one first.")


def _check_networks(config: Mapping) -> None:
    """A network that is trained on a database, or embeds a dataset, reads the workflow's aligned images."""
    embedding = {
        entry["network"]
        for entry in config["references"].values()
        if entry["leak_guard"] or entry["gallery"] in config["databases"]
    }
    embedding |= {config["quality"]["judge"]} if config["quality"] else set()
    for name, network in config["networks"].items():
        for key in ("image_size", "template"):
            wanted = config["images"][key]
            if (network["database"] or name in embedding) and network[key] != wanted:
                raise BrownidError(
                    f"networks.{name}.{key} is {network[key]!r}, but images.{key} is {wanted!r}: the network reads the "
                    "aligned images of a dataset, so both must be the same."
                )


def _check_benchmarks(config: Mapping) -> None:
    """Crops that no key says the template of can be right for one kind of network only."""
    readers: dict[tuple[str, int], str] = {}  # each kind of crop, and the first network that reads it
    for section in ("networks", "training"):
        for name in config[section]:
            readers.setdefault(crop_read(config, name), f"{section}.{name}")
    for name, entry in config["benchmarks"].items():
        if has_fixed_crops(entry) and len(readers) > 1:
            (first, one), (second, other) = list(readers.items())[:2]
            raise BrownidError(
                f"benchmarks.{name} does not say on which template its images are, but {one} reads {first[0]} crops of "
                f"{first[1]} pixels and {other} {second[0]} crops of {second[1]}: set benchmarks.{name}.alignment."
                "template (arcface for insightface's files), and each network gets the crops that it reads."
            )
