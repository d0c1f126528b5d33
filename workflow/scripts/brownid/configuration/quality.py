"""The judge of the datasets and the genuine database of the section `quality`, checked against the other sections."""

from collections.abc import Mapping

from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import same_path

UNLABELLED = ("portraits", "ffhq", "utkface")  # kinds of databases in which every image is an identity


def check_quality(config: Mapping) -> None:
    """Raise a `BrownidError` for a judge that is not independent, or genuine images that cannot be compared with."""
    if config["quality"] is None:
        return
    judge, genuine = config["quality"]["judge"], config["quality"]["genuine"]
    weights = config["networks"][judge]["weights"]
    for place, network in _steering(config).items():
        steering = config["networks"][network]["weights"]
        same_file = None not in (weights, steering) and same_path(steering) == same_path(weights)
        if network == judge or same_file:
            how = "names too" if network == judge else f"uses as {network!r}, with the same weights"
            raise BrownidError(
                f"quality.judge is {judge!r}, which {place} {how}: a network that took part in making a dataset "
                "overestimates it; name a networks entry that no references and no covariates use, best of another "
                "architecture and trained on other people."
            )
    if config["networks"][judge]["database"] == genuine:
        raise BrownidError(
            f"quality.genuine is {genuine!r}, on which the judge {judge!r} was trained: its genuine angles there are "
            "too small; name a database of other people."
        )
    if config["databases"][genuine]["kind"] in UNLABELLED:
        raise BrownidError(
            f"quality.genuine is {genuine!r}, of the kind {config['databases'][genuine]['kind']}, in which every image "
            "is an identity of its own: name a database with several images per identity."
        )


def _steering(config: Mapping) -> dict[str, str]:
    """The networks that take part in making datasets, by the key that names them."""
    return {
        f"{section}.{name}.network": entry["network"]
        for section in ("references", "covariates")
        for name, entry in config[section].items()
    }
