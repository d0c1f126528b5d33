"""Do the entries of HyperFace fit each other, and is each generator asked only for what it can do?"""

from collections.abc import Iterator, Mapping, Sequence

from brownid.runtime.errors import BrownidError

EMBEDDING_CONDITIONED = ("arc2face",)  # families that generate images from an embedding, and have no latents
FAMILIES_WITHOUT_GRADIENTS = (*EMBEDDING_CONDITIONED, "ldm")  # families that no gradient passes through


def takes_embeddings(config: Mapping, generator: str) -> bool:
    """Whether a generator generates images from embeddings instead of latents."""
    return config["generators"][generator].get("family") in EMBEDDING_CONDITIONED


def packed_references(config: Mapping) -> list[str]:
    """The references entries that are packed on the hypersphere."""
    return [name for name, entry in config["references"].items() if entry["algorithm"] == "hyperface"]


def galleries(config: Mapping) -> set[str]:
    """The references entries and databases that serve as gallery of another entry."""
    return {entry["gallery"] for entry in config["references"].values()} - {None}


def check_hyperface(config: Mapping) -> None:
    """Raise a `BrownidError` for the first entry that cannot be made from what it names."""
    for name in packed_references(config):
        _check_packed(config, name)
    for place, generator, algorithm in _steered(config):
        family = config["generators"][generator].get("family")
        if family in FAMILIES_WITHOUT_GRADIENTS:
            raise BrownidError(
                f"{place} ({algorithm}) needs latents with gradients, and the generator {generator!r} of the family "
                f"{family!r} has none: name a procedural or StyleGAN generator, or one of your own."
            )
    for name, entry in config["references"].items():
        if takes_embeddings(config, entry["generator"]) and entry["algorithm"] != "hyperface":
            raise BrownidError(
                f"references.{name}.generator is {entry['generator']!r}, which is conditioned on embeddings and has "
                f"no latents to sample by {entry['algorithm']!r}: use the algorithm hyperface."
            )


def check_embedding_conditioned(given: Mapping, config: Mapping) -> None:
    """Raise a `BrownidError` for a `given` key that means nothing where the generator is conditioned on embeddings.

    `config` is the same configuration with its defaults.
    """
    for name in packed_references(config):
        if takes_embeddings(config, config["references"][name]["generator"]):
            _refuse(given["references"][name], f"references.{name}", ("inversion", "truncation"))
    for name, entry in config["variations"].items():
        if takes_embeddings(config, config["references"][entry["references"]]["generator"]):
            settings = given["variations"][name].get("settings", {})
            meant = ("variations", "embedding_noise")
            _refuse(settings, f"variations.{name}.settings", [key for key in settings if key not in meant])


def _refuse(given: Mapping, place: str, keys: Sequence[str]) -> None:
    for key in keys:
        if key in given:
            raise BrownidError(f"{place}.{key} means nothing to an embedding-conditioned generator: leave it out.")


def _check_packed(config: Mapping, name: str) -> None:
    entry = config["references"][name]
    place, count, batch = f"references.{name}", entry["identities"], entry["settings"]["batch"]
    if batch is not None and batch > count:
        raise BrownidError(f"{place}.settings.batch is {batch}, more than its {count} identities: use fewer, or null.")
    if batch is None and entry["settings"]["batch_neighbours"] == "batch":
        raise BrownidError(
            f"{place}.settings.batch_neighbours is 'batch', but there are no batches: set batch, or leave it out."
        )
    if entry["inversion"]["attempts"] > (entry["gallery_size"] or count):
        raise BrownidError(
            f"{place}.inversion.attempts is {entry['inversion']['attempts']}, more than the "
            f"{entry['gallery_size'] or count} random faces to start from: use fewer, or a larger gallery_size."
        )
    for role in ("start", "gallery"):
        source = config["references"].get(entry[role])
        if source and source["network"] != entry["network"]:
            raise BrownidError(
                f"{place} is about embeddings of the network {entry['network']!r}, its {role} {entry[role]} about "
                f"those of {source['network']!r}: embeddings mean nothing to another network."
            )
        if entry[role] is None and takes_embeddings(config, entry["generator"]):
            raise BrownidError(
                f"{place}.{role} is missing: the generator {entry['generator']!r} makes no random faces, so name a "
                "references entry of a generator that does, such as a random one of a StyleGAN."
            )
    gallery = config["references"].get(entry["gallery"])
    if gallery and gallery["identities"] < (entry["gallery_size"] or count):
        wanted = f"gallery_size {entry['gallery_size']}" if entry["gallery_size"] else f"{count} identities"
        raise BrownidError(
            f"{place} has {wanted}, but its gallery {entry['gallery']} only {gallery['identities']} faces: make the "
            f"gallery larger, or say that so few will do by gallery_size: {gallery['identities']}."
        )


def _steered(config: Mapping) -> Iterator[tuple[str, str, str]]:
    """The entries whose latents move along gradients: place, generator, algorithm."""
    for name, entry in config["references"].items():
        inverted = entry["algorithm"] == "hyperface" and not takes_embeddings(config, entry["generator"])
        if inverted or entry["algorithm"] in ("repulse", "langevin"):
            yield f"references.{name}", entry["generator"], entry["algorithm"]
    for name, entry in config["variations"].items():
        generator = config["references"][entry["references"]]["generator"]
        conditioned = entry["algorithm"] == "hyperface" and takes_embeddings(config, generator)
        if not conditioned:
            yield f"variations.{name}", generator, entry["algorithm"]
    for name, entry in config["covariates"].items():
        yield f"covariates.{name}", entry["generator"], "projection"
