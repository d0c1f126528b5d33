"""Images of databases and benchmarks, and the crops of them that each network reads: do their keys fit each other?"""

from collections.abc import Mapping

from brownid.runtime.errors import BrownidError

# the key of a databases entry -> the kinds that it says something about
KEYS_OF_KINDS = {
    "lists": ("multipie",),
    "metadata": ("ffhq", "templates"),
    "landmarks": ("templates",),
    "images": ("ffhq",),
    "identity_subfolders": ("people",),
}
PHOTOGRAPHED_KINDS = ("multipie", "people", "portraits")
USUAL_SET = "aligned"  # the default of `images`
OWN_KEYS = ("index", *KEYS_OF_KINDS, "alignment", "not_square")  # mean nothing where the embedded world is photographed


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


def scored_entries(config: Mapping) -> list[str]:
    """The training and networks entries that are scored on benchmarks, in alphabetical order.

    Unless configured, of the networks those that the run trains and those that comparisons name: a network from a file
    is there to steer.
    """
    scoring, networks = config["scoring"], config["networks"]
    wanted = scoring["networks"]
    if wanted is None:
        compared = {name for comparison in scoring["comparisons"] for name in comparison if name in networks}
        wanted = compared | {name for name, entry in networks.items() if not entry["weights"]}
    return sorted({*config["training"], *wanted})


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
    scored = scored_entries(config)
    readers: dict[tuple[str, int], str] = {}  # each kind of crop, and the first network that reads it
    for section in ("networks", "training"):
        for name in config[section]:
            if name in scored:
                readers.setdefault(crop_read(config, name), f"{section}.{name}")
    for name, entry in config["benchmarks"].items():
        if has_fixed_crops(entry) and len(readers) > 1:
            (first, one), (second, other) = list(readers.items())[:2]
            raise BrownidError(
                f"benchmarks.{name} does not say on which template its images are, but {one} reads {first[0]} crops of "
                f"{first[1]} pixels and {other} {second[0]} crops of {second[1]}: set benchmarks.{name}.alignment."
                "template (arcface for insightface's files), and each network gets the crops that it reads."
            )


def check_photographs(config: Mapping) -> None:
    """Raise a `BrownidError` for the first key that is missing, or means nothing, in an entry of this kind."""
    for name, entry in config["databases"].items():
        place = f"databases.{name}"
        if entry.get("capture") is not None:
            _check_captured(place, entry)
        else:
            _check_own(place, entry)
            _check_alignment(place, entry, landmarks=_has_landmarks(entry))
    for name, entry in config["benchmarks"].items():
        _check_benchmark(f"benchmarks.{name}", entry)
    for name, entry in config["training"].items():
        for dataset in entry["datasets"]:
            _check_side(config, name, dataset)


def _check_captured(place: str, entry: Mapping) -> None:
    if entry["kind"] not in PHOTOGRAPHED_KINDS:
        raise BrownidError(
            f"{place}.kind is {entry['kind']!r}, which the embedded world cannot be photographed as: choose one of "
            f"{', '.join(PHOTOGRAPHED_KINDS)}, or give the `root` of a database of your own."
        )
    given = [key for key in OWN_KEYS if entry[key] not in (None, False, USUAL_SET)]
    if given:
        raise BrownidError(f"{place}.{given[0]} means nothing where the embedded world is photographed: leave it out.")


def _check_own(place: str, entry: Mapping) -> None:
    kind = entry["kind"]
    for key, kinds in KEYS_OF_KINDS.items():
        if entry[key] not in (None, False, USUAL_SET) and (kind not in kinds or entry["index"]):
            reason = "an index is given" if kind in kinds else f"its kind is {kind!r}"
            raise BrownidError(f"{place}.{key} means nothing here, as {reason}: leave it out.")
    if kind in KEYS_OF_KINDS["metadata"] and entry["metadata"] is None and entry["index"] is None:
        what = "ffhq-dataset-v2.json" if kind == "ffhq" else "the list of templates, such as ijbc_face_tid_mid.txt"
        raise BrownidError(f"{place}.metadata is missing: the kind {kind!r} needs {what}, or an `index`.")


def _has_landmarks(entry: Mapping) -> bool:
    """Whether an index of the images can say where the faces are; that of others is not looked into here."""
    if entry["index"]:
        return True
    if entry["kind"] == "ffhq":
        return entry["images"] != "thumbnails"
    return entry["kind"] == "templates" and entry["landmarks"] is not None


def _check_alignment(place: str, entry: Mapping, landmarks: bool) -> None:
    alignment = entry["alignment"]
    if alignment is None:
        return
    if entry["not_square"] and not alignment["template"]:
        raise BrownidError(f"{place}.not_square means nothing where photographs are aligned: leave it out.")
    if alignment["template"] and alignment["detector"]:
        raise BrownidError(
            f"{place}.alignment has a template, which says that the images are crops on it, and a detector, which "
            "looks for faces in photographs: give one of them."
        )
    if not (alignment["template"] or alignment["detector"] or landmarks):
        raise BrownidError(
            f"{place}.alignment says neither on which `template` the images are nor which `detector` finds their faces."
        )


def _check_benchmark(place: str, entry: Mapping) -> None:
    if entry["pairs"] is not None and not entry["folder"]:
        raise BrownidError(f"{place}.pairs belongs to a `folder` of images, which is not given: leave it out.")
    if entry["pairs"] is not None and entry["format"] == "adaface":
        raise BrownidError(f"{place}.pairs means nothing with the format 'adaface': leave it out.")
    if entry.get("capture"):
        given = [key for key in ("alignment", "not_square", "enlarge") if entry[key]]
        if given:
            raise BrownidError(
                f"{place}.{given[0]} means nothing where the embedded world is photographed: leave it out."
            )
    elif has_fixed_crops(entry):
        given = [key for key in ("not_square", "enlarge") if entry[key]]
        if given:
            raise BrownidError(
                f"{place}.{given[0]} is about images that are moved, and these are scored as they are: set "
                f"{place}.alignment.template, or leave it out."
            )
    elif entry["folder"] and entry["format"] == "pairs" and entry["pairs"] is None:
        raise BrownidError(f"{place}.pairs is missing: a folder of images needs a pairs file, or the format 'adaface'.")
    _check_alignment(place, entry, landmarks=False)


def _check_side(config: Mapping, training: str, dataset: str) -> None:
    realigned = config["realigned"].get(dataset)
    if realigned and realigned["image_size"] != config["images"]["image_size"]:
        raise BrownidError(
            f"training.{training}.datasets has {dataset!r}, whose image_size is {realigned['image_size']}, but "
            f"networks are trained on images of images.image_size {config['images']['image_size']}: make both the same."
        )
