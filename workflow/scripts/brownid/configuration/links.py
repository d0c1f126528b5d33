"""Names in one entry that lead to another: is the other there, and do the two fit each other?"""

from collections.abc import Iterator, Mapping
from typing import Any

from brownid.configuration.crops import check_crops, check_photographs, scored_entries
from brownid.configuration.datasets import DATASETS
from brownid.configuration.hyperface import check_hyperface, galleries, takes_embeddings
from brownid.configuration.quality import UNLABELLED, check_quality
from brownid.configuration.release import check_date, check_training_sets
from brownid.release.contents import SHARED_FOLDERS
from brownid.runtime.errors import BrownidError, suggestion
from brownid.world.settings import PeopleRange, check_disjoint

GROUPS = ("evaluation", "development")  # of benchmarks
MODELS = ("training", "networks")  # the sections whose entries have network weights
ONNX = "onnx"  # the family
WITHOUT_GRADIENTS = {"random", "reject", "covariates"}  # the algorithms that only embed
ATTRIBUTE_ALGORITHMS = ("disco", "covariates")  # that move along directions fitted on MultiPIE's attributes
WITHOUT_NOISE_MAPS = ("procedural", "stylegan3", "ldm", "arc2face")

# section -> the fields of an entry that name other entries, and the sections where those are looked up
LINKS: dict[str, dict[str, tuple[str, ...]]] = {
    "databases": {"capture.generator": ("generators",), "alignment.detector": ("detectors",)},
    "realigned": {"images": ("references", "variations", "databases")},
    "networks": {"database": ("databases",)},
    "covariates": {"database": ("databases",), "generator": ("generators",), "network": ("networks",)},
    "references": {
        "generator": ("generators",),
        "network": ("networks",),
        "leak_guard": ("databases",),
        "start": ("references",),
        "gallery": ("references", "databases"),
        "nuisance_projection.covariates": ("covariates",),
    },
    "variations": {"references": ("references",), "covariates": ("covariates",)},
    "training": {"datasets": DATASETS},
    "benchmarks": {"capture.generator": ("generators",), "alignment.detector": ("detectors",)},
}


def check_links(config: Mapping) -> None:
    """Raise a `BrownidError` for a name that leads nowhere, one that two datasets share, or a release without it."""
    _check_unique(config, DATASETS)
    _check_unique(config, MODELS)
    for name in set(SHARED_FOLDERS) & {entry for section in DATASETS for entry in config[section]}:
        raise BrownidError(f"The name {name!r} of a dataset is that of a folder of every release: rename the dataset.")
    for section, fields in LINKS.items():
        for entry, settings in config.get(section, {}).items():
            for field, targets in fields.items():
                for name in _names(settings, field):
                    _check_target(config, f"{section}.{entry}.{field}", name, targets)
    for field, target in {"judge": "networks", "genuine": "databases"}.items():
        for name in _names(config["quality"] or {}, field):
            _check_target(config, f"quality.{field}", name, (target,))
    for name in config["gallery"]["datasets"] or ():
        _check_target(config, "gallery.datasets", name, ("references", "variations"))  # never photographs
        if name in galleries(config):
            raise BrownidError(f"gallery.datasets names {name!r}, which only attracts a packing: it has no images.")
    check_photographs(config)
    _check_people(config)
    check_crops(config)
    _check_agreement(config)
    _check_covariates(config)
    _check_networks(config)
    _check_training(config)
    _check_gradients(config)
    _check_noise_maps(config)
    _check_acyclic(config["references"])
    check_hyperface(config)
    _check_scoring(config)
    check_quality(config)
    _check_release(config)


def _check_scoring(config: Mapping) -> None:
    for name in config["scoring"]["networks"] or ():
        _check_target(config, "scoring.networks", name, ("networks",))
    for number, comparison in enumerate(config["scoring"]["comparisons"]):
        for name in comparison:
            _check_target(config, f"scoring.comparisons[{number}]", name, MODELS)
            if name not in scored_entries(config):
                raise BrownidError(
                    f"scoring.comparisons[{number}] names {name!r}, which scoring.networks leaves out: add it there."
                )


def _check_release(config: Mapping) -> None:
    release = config["release"] or {}
    for field, targets in {"datasets": ("references", "variations"), "models": ("training",)}.items():
        for name in release.get(field, ()):
            _check_target(config, f"release.{field}", name, targets)
    if release.get("models") and all(entry["group"] != GROUPS[0] for entry in config["benchmarks"].values()):
        raise BrownidError(
            "release.models names networks, which are published with their scores, but there are no benchmarks of the "
            "group 'evaluation': add some, or leave release.models out."
        )
    if release:
        check_date(config)
        check_training_sets(config)


def _check_people(config: Mapping) -> None:
    """Persons of databases of one embedded world and of its groups of benchmarks must all be different."""
    databases = _people(config, "databases", ("people", "subjects"))
    benchmarks = _people(config, "benchmarks", ("people",))
    for world in {home for home, _ in [*databases.values(), *benchmarks.values()]}:
        shared = {name: people for name, (home, people) in databases.items() if home == world}
        check_disjoint(shared)
        for benchmark, (home, people) in benchmarks.items():
            if home == world:
                check_disjoint({**shared, benchmark: people})
                group = config["benchmarks"][benchmark]["group"]
                for other, (place, theirs) in benchmarks.items():
                    if place == world and config["benchmarks"][other]["group"] != group:
                        check_disjoint({benchmark: people, other: theirs})


def _people(config: Mapping, section: str, counts: tuple[str, ...]) -> dict[str, tuple[int, PeopleRange]]:
    """The world (its seed; the image side makes no other people) and the persons of each photographed entry."""
    ranges = {}
    for name, entry in config[section].items():
        if capture := entry.get("capture"):
            generator = config["generators"][capture["generator"]]
            if generator.get("family") != "procedural":
                raise BrownidError(
                    f"{section}.{name}.capture.generator is {capture['generator']!r}, which is no embedded world: only "
                    "a generator of the family 'procedural' has people to photograph."
                )
            count = next(capture[key] for key in counts if key in capture)
            ranges[name] = (generator["world_seed"], PeopleRange(capture["first_person"], count))
    return ranges


def _check_agreement(config: Mapping) -> None:
    """Entries that build on each other must mean the same generator, and have enough identities."""
    for name, entry in config["references"].items():
        if start := config["references"].get(entry["start"]):
            if entry["algorithm"] != "hyperface":  # which takes embeddings from there, not latents
                _same(f"references.{name}", entry, f"its start {entry['start']}", start)
            if start["identities"] < entry["identities"]:
                raise BrownidError(
                    f"references.{name} has {entry['identities']} identities, but its start {entry['start']} only "
                    f"{start['identities']}: ask for fewer, or make the start larger."
                )
        if projection := entry["nuisance_projection"]:
            covariates = config["covariates"][projection["covariates"]]
            _same(
                f"references.{name}", entry, f"the covariates {projection['covariates']} of its projection", covariates
            )
        _check_shards(f"references.{name}", entry["shards"], entry["identities"])
        if entry["processes"] > entry["identities"]:
            raise BrownidError(
                f"references.{name}.processes is {entry['processes']}, more than its {entry['identities']} identities: "
                "use fewer."
            )
    for name, entry in config["variations"].items():
        references = config["references"][entry["references"]]
        if entry["covariates"]:
            covariates = config["covariates"][entry["covariates"]]
            _same(f"variations.{name}", references, f"its covariates {entry['covariates']}", covariates)
            if entry["settings"].get("space") == "w_plus" and covariates["projection"]["space"] == "w":
                raise BrownidError(
                    f"variations.{name}.settings.space is 'w_plus', but its covariates {entry['covariates']} are "
                    f"projected into w: set covariates.{entry['covariates']}.projection.space to w_plus."
                )
        _check_shards(f"variations.{name}", entry["shards"], references["identities"])


def _check_covariates(config: Mapping) -> None:
    """Whether the database of each covariates entry has what is fitted on it, and what is made of it."""
    for name, entry in config["covariates"].items():
        place, database = f"covariates.{name}", config["databases"][entry["database"]]
        capture = database.get("capture") or {}
        if database["kind"] in UNLABELLED or capture.get("photos") == 1:
            raise BrownidError(
                f"{place}.database is {entry['database']!r}, which has one image per person, and a within-class "
                "covariance is fitted on several images of each: name a database of the kind multipie, people, "
                "templates or recordio."
            )
        given = [key for key in ("persons", "images_per_person") if entry[key] is not None]
        if given and database["kind"] == "multipie":
            raise BrownidError(
                f"{place}.{given[0]} is not used with a database of the kind multipie, of which the images of the "
                "protocols are projected: remove it."
            )
        if entry["persons"] is not None and entry["persons"] > capture.get("people", entry["persons"]):
            raise BrownidError(
                f"{place}.persons is {entry['persons']}, but databases.{entry['database']}.capture has "
                f"{capture['people']} people: use fewer, or null for all."
            )
    for name, entry in config["variations"].items():
        if entry["algorithm"] in ATTRIBUTE_ALGORITHMS and entry["covariates"]:
            database = config["covariates"][entry["covariates"]]["database"]
            if config["databases"][database]["kind"] != "multipie":
                raise BrownidError(
                    f"variations.{name}.algorithm is {entry['algorithm']!r}, which needs directions of pose, "
                    f"illumination and expressions, and covariates.{entry['covariates']}.database is {database!r}, "
                    "which has no such attributes: name covariates of a database of the kind multipie."
                )


def is_named_onnx(path: object) -> bool:
    """Whether a file's name says that it is an ONNX file."""
    return isinstance(path, str) and path.lower().endswith(f".{ONNX}")


def _check_networks(config: Mapping) -> None:
    """An ONNX file is a network of its own family; only networks from elsewhere read pixels in another form."""
    for name, entry in config["networks"].items():
        if is_named_onnx(entry["weights"]) and entry.get("family", ONNX) != ONNX:
            raise BrownidError(
                f"networks.{name}.family is {entry['family']!r}, but its weights {entry['weights']} are an ONNX file: "
                "leave family and architecture out."
            )
        for key in ("reads_bytes", "colour_order"):
            if entry["database"] and entry[key] is not None:
                raise BrownidError(
                    f"networks.{name}.{key} is for weights from a file, but this network is trained on the database "
                    f"{entry['database']!r}: remove it."
                )


def _check_training(config: Mapping) -> None:
    recipes = {f"networks.{name}.training": entry["training"] for name, entry in config["networks"].items()}
    recipes |= {f"training.{name}.settings": entry["settings"] for name, entry in config["training"].items()}
    for place, settings in recipes.items():
        if settings["milestones"] != sorted(set(settings["milestones"])):
            raise BrownidError(f"{place}.milestones are {settings['milestones']}: epochs must rise.")


def _check_gradients(config: Mapping) -> None:
    """An ONNX network embeds images, but no gradient passes through it: nothing can steer by it."""
    steered = {
        f"references.{name} ({entry['algorithm']})": entry["network"]
        for name, entry in config["references"].items()
        if entry["algorithm"] not in WITHOUT_GRADIENTS and not takes_embeddings(config, entry["generator"])
    }
    for name, entry in config["variations"].items():
        conditioned = takes_embeddings(config, config["references"][entry["references"]]["generator"])
        if entry["algorithm"] not in WITHOUT_GRADIENTS and not conditioned:
            network = config["references"][entry["references"]]["network"]
            steered[f"variations.{name} ({entry['algorithm']})"] = network
    for name, entry in config["covariates"].items():
        if entry["projection"].get("embedding_weight", 0) > 0:
            steered[f"covariates.{name} (projection.embedding_weight)"] = entry["network"]
    for place, network in steered.items():
        if config["networks"][network].get("family") == ONNX:
            raise BrownidError(
                f"{place} needs gradients through the network {network!r}, and an ONNX file gives none: name a network "
                "of another family, with PyTorch weights."
            )


def _check_noise_maps(config: Mapping) -> None:
    for name, entry in config["covariates"].items():
        family = config["generators"][entry["generator"]].get("family")
        if entry["projection"]["noise_maps"] and family in WITHOUT_NOISE_MAPS:
            raise BrownidError(
                f"covariates.{name}.projection.noise_maps is true, but the generator {entry['generator']!r} is of the "
                f"family {family!r}, which has none to optimise: set it to false."
            )


def _same(place: str, entry: Mapping, other_place: str, other: Mapping) -> None:
    if entry["generator"] != other["generator"]:
        raise BrownidError(
            f"{place} is about the generator {entry['generator']!r}, {other_place} about {other['generator']!r}: "
            "latents mean nothing in another generator."
        )


def _check_shards(place: str, shards: int, identities: int) -> None:
    if shards > identities:
        raise BrownidError(f"{place}.shards is {shards}, more than its {identities} identities: use fewer.")


def _names(settings: Mapping, field: str) -> Iterator[str]:
    value: Any = settings
    for key in field.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from value


def _check_target(config: Mapping, place: str, name: str, targets: tuple[str, ...]) -> None:
    known = [entry for target in targets for entry in config.get(target, {})]
    if name not in known:
        hint = suggestion(name, known)
        raise BrownidError(f"{place}: there is no entry {name!r} under {' or '.join(targets)}; {hint}")


def _check_unique(config: Mapping, sections: tuple[str, ...]) -> None:
    owner: dict[str, str] = {}
    for section in sections:
        for name in config.get(section, {}):
            if name in owner:
                raise BrownidError(
                    f"The name {name!r} stands under {owner[name]} and under {section}: rename one of them."
                )
            owner[name] = section


def _check_acyclic(references: Mapping[str, Mapping]) -> None:
    """No references may be made from each other, as start or gallery."""
    for first in references:
        chains = [[first]]
        while chains:
            chain = chains.pop()
            for following in references.keys() & {references[chain[-1]].get(key) for key in ("start", "gallery")}:
                if following in chain:
                    circle = " -> ".join([*chain, following])
                    raise BrownidError(f"References start from each other in a circle: {circle}.")
                chains.append([*chain, following])
