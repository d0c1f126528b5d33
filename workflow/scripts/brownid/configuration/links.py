"""Entries name other entries: check that each name exists, means one thing only, and leads to no cycle."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from brownid.databases.people import PeopleRange, check_disjoint
from brownid.errors import BrownidError

DATASETS = ("references", "variations", "databases")  # the sections whose entries have images
MODELS = ("training", "networks")  # the sections whose entries have network weights

# section -> the fields of an entry that name other entries, and the sections where those are looked up
LINKS: dict[str, dict[str, tuple[str, ...]]] = {
    "databases": {"capture.generator": ("generators",)},
    "networks": {"database": ("databases",)},
    "covariates": {"database": ("databases",), "generator": ("generators",), "network": ("networks",)},
    "references": {
        "generator": ("generators",),
        "network": ("networks",),
        "leak_guard": ("databases",),
        "start": ("references",),
    },
    "variations": {"references": ("references",), "covariates": ("covariates",)},
    "training": {"datasets": DATASETS},
    "benchmarks": {"capture.generator": ("generators",)},
}


def check_links(config: Mapping) -> None:
    """Raise a `BrownidError` for a name that leads nowhere, one that two datasets share, or a release without it."""
    _check_unique(config, DATASETS)
    _check_unique(config, MODELS)
    for section, fields in LINKS.items():
        for entry, settings in config.get(section, {}).items():
            for field, targets in fields.items():
                for name in _names(settings, field):
                    _check_target(config, f"{section}.{entry}.{field}", name, targets)
    _check_people(config)
    _check_acyclic({name: settings.get("start") for name, settings in config["references"].items()})
    for field, targets in {"datasets": ("references", "variations"), "models": ("training",)}.items():
        for name in config["release"][field]:
            _check_target(config, f"release.{field}", name, targets)


def _check_people(config: Mapping) -> None:
    """Nobody may be in two databases of one embedded world, or in a database and a benchmark."""
    databases = _people(config["databases"], ("people", "subjects"))
    for world in config["generators"]:
        check_disjoint({name: people for name, (home, people) in databases.items() if home == world})
        for benchmark, (home, people) in _people(config["benchmarks"], ("people",)).items():
            if home == world:
                shared = {name: found for name, (place, found) in databases.items() if place == world}
                check_disjoint({**shared, benchmark: people})


def _people(entries: Mapping, counts: tuple[str, ...]) -> dict[str, tuple[str, PeopleRange]]:
    """The world and the range of persons of each entry that is photographed."""
    ranges = {}
    for name, entry in entries.items():
        if capture := entry.get("capture"):
            count = next(capture[key] for key in counts if key in capture)
            ranges[name] = (capture["generator"], PeopleRange(capture["first_person"], count))
    return ranges


def _names(settings: Mapping, field: str) -> Iterator[str]:
    value = settings
    for key in field.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from value


def _check_target(config: Mapping, place: str, name: str, targets: tuple[str, ...]) -> None:
    known = [entry for target in targets for entry in config.get(target, {})]
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}"
        raise BrownidError(f"{place}: there is no entry {name!r} under {' or '.join(targets)}; {hint}")


def _check_unique(config: Mapping, sections: tuple[str, ...]) -> None:
    owner: dict[str, str] = {}
    for section in sections:
        for name in config.get(section, {}):
            if name in owner:
                raise BrownidError(
                    f"the name {name!r} stands under {owner[name]} and under {section}: rename one of them"
                )
            owner[name] = section


def _check_acyclic(start: Mapping[str, str | None]) -> None:
    for first in start:
        chain = [first]
        while (following := start[chain[-1]]) is not None:
            chain.append(following)
            if chain.count(following) > 1:
                raise BrownidError(f"references start from each other in a circle: {' -> '.join(chain)}")
