"""What the release holds: its layouts, its datasets, and its training sets."""

from collections.abc import Mapping
from datetime import date

from brownid.configuration.datasets import DATASETS, crop_of, namespace, original, synthetic_images
from brownid.runtime.errors import BrownidError, suggestion

PUBLISHED = "published"  # the layout of single images and samples.h5; the others are of training sets
SHARDED = ("parquet", "webdataset")  # layouts of several files, of which release.shard_size limits the size


def layouts(config: Mapping) -> list[str]:
    """The layouts of the release: those that are configured, or Parquet, and the published one where it is small."""
    release = config["release"]
    if release["layouts"] is not None:
        return list(release["layouts"])
    images = sum(synthetic_images(config, name) for name in released_datasets(config))
    return ["parquet", *[PUBLISHED] * (images <= release["published_limit"])]


def training_layouts(config: Mapping) -> list[str]:
    """The layouts of the release that its training sets are exported in."""
    return [layout for layout in layouts(config) if layout != PUBLISHED]


def training_sets(config: Mapping) -> dict[str, list[str]]:
    """The datasets of each training set of the release.

    Unless configured: each variations entry with its references, what each released network was trained on (where that
    is released and has one crop), and each dataset that is in none of these.
    """
    release = config["release"]
    if release["training_sets"] is not None:
        return {name: list(datasets) for name, datasets in release["training_sets"].items()}
    varied = [name for name in release["datasets"] if name in config["variations"]]
    sets = {name: [namespace(config, name), name] for name in varied}
    there = {*release["datasets"], *(namespace(config, name) for name in varied)}
    for name in release["models"]:
        datasets = config["training"][name]["datasets"]
        released = all(original(config, dataset) in there for dataset in datasets)
        one_crop = len({crop_of(config, dataset) for dataset in datasets}) == 1
        if released and one_crop and not any(set(datasets) == set(known) for known in sets.values()):
            if name in sets:
                raise BrownidError(
                    f"The release would have two training sets {name!r}, that of training.{name} and that of "
                    f"variations.{name}: rename one of the entries, or name the sets in release.training_sets."
                )
            sets[name] = list(datasets)
    joined = {dataset for datasets in sets.values() for dataset in datasets}
    alone = {name: [name] for name in release["datasets"] if name not in joined}
    for name in sets.keys() & alone.keys():
        raise BrownidError(
            f"The release would have two training sets {name!r}, that of training.{name} and that of the dataset "
            f"{name}: rename one of the entries, or name the sets in release.training_sets."
        )
    return sets | alone


def released_datasets(config: Mapping) -> list[str]:
    """The references and variations of the release: those that it names, and those of its training sets."""
    joined = [original(config, dataset) for datasets in training_sets(config).values() for dataset in datasets]
    return list(dict.fromkeys([*config["release"]["datasets"], *joined]))


def check_date(config: Mapping) -> None:
    """Raise a `BrownidError` for a date of the release that no calendar has."""
    stated = config["release"]["date"]
    try:
        date.fromisoformat(stated or "2000-01-01")
    except ValueError as error:
        raise BrownidError(f"release.date: {stated} is no date ({error}): write YYYY-MM-DD, or leave it out.") from None


def check_training_sets(config: Mapping) -> None:
    """Raise a `BrownidError` for a training set of the release that cannot be joined, and for data in no layout."""
    for name, datasets in (config["release"]["training_sets"] or {}).items():
        place = f"release.training_sets.{name}"
        known = [dataset for section in DATASETS for dataset in config[section]]
        for dataset in datasets:
            if dataset not in known:
                raise BrownidError(f"{place}: there is no dataset {dataset!r}; {suggestion(dataset, known)}")
            if original(config, dataset) in config["databases"]:
                raise BrownidError(
                    f"{place} has {dataset!r}, which has the images of a genuine database: a release holds synthetic "
                    "images only, so remove it."
                )
        crops = {crop_of(config, dataset): dataset for dataset in datasets}
        if len(crops) > 1:
            (first, one), (second, other) = list(crops.items())[:2]
            raise BrownidError(
                f"{place} joins different crops: {one!r} has {first[1]} pixels on the template {first[0]}, {other!r} "
                f"{second[1]} on {second[0]}: use datasets of one crop (`realigned` moves images to another)."
            )
    sets = training_sets(config)
    joined = {original(config, dataset) for datasets in sets.values() for dataset in datasets}
    missing = [name for name in config["release"]["datasets"] if name not in joined]
    if missing and PUBLISHED not in layouts(config):
        raise BrownidError(
            f"release.datasets has {missing[0]!r}, but no training set has it and release.layouts has no 'published': "
            "add it to release.training_sets, or the layout 'published'."
        )
