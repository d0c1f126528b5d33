"""Building a release: the data package that others download, complete or not there at all."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from brownid.exports.inventory import read_record
from brownid.gallery.page import gallery_page
from brownid.release import contents
from brownid.release.card import Card
from brownid.release.citation import bibtex, citation_file
from brownid.release.contents import (
    DatasetPart,
    FilePart,
    ModelPart,
    ReleaseDescription,
    TrainingSetPart,
    release_path,
)
from brownid.release.croissant import write_croissant
from brownid.release.licences import licence_text
from brownid.release.making import licence_of, papers, upstream_files
from brownid.release.metadata import METADATA, DatasetRecord, ReleasedSetRecord, ReleaseRecord, write_metadata
from brownid.release.model_card import write_model_cards
from brownid.release.origins import Origins
from brownid.release.pictures import show_training_sets
from brownid.runtime.errors import BrownidError, listed
from brownid.runtime.files import atomic_path
from brownid.runtime.process import progress
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards
from brownid.samples.published import published_labels
from brownid.samples.statistics import load_statistics, save_statistics

GALLERY = "gallery"  # the folder of the pages of thumbnails


def build_release(
    destination: str | Path,
    *,
    description: ReleaseDescription,
    datasets: Sequence[DatasetPart],
    training_sets: Sequence[TrainingSetPart] = (),
    models: Sequence[ModelPart] = (),
    files: Sequence[FilePart] = (),
    origins: Origins | None = None,
    score_table: Path | None = None,
    accepted: Path | None = None,
) -> None:
    """Write a release folder at `destination`; an older release there is replaced when the new one is whole.

    `origins` is what its cards say of generators, networks and databases; without it they say that it is not recorded.
    `score_table` (CSV or Markdown) is copied into `scores/` and shown in the README; `accepted` is the record of
    results that older code made (`brownid.samples.provenance.ACCEPTED`). Everything that can be wrong with the parts
    (a missing file, a name used twice, a sample without an image, a damaged shard) is a BrownidError, and leaves
    `destination` as it was.
    """
    destination = Path(destination)
    _check_destination(destination)
    if not datasets:
        raise BrownidError(f"The release {description.name!r} needs at least one dataset.")
    copies = _copies(models, files, score_table)
    if accepted is not None:
        copies[PurePosixPath(accepted.name)] = accepted
    exports = [record for training_set in training_sets for record in training_set.exports.values()]
    _check_sources([source for part in datasets for source in part.sources()] + list(copies.values()) + exports)
    _check_distinct("dataset", [part.name for part in datasets])
    _check_distinct("training set", [part.name for part in training_sets])
    with atomic_path(destination) as root:
        shutil.rmtree(root, ignore_errors=True)  # of a killed process that had the same number
        root.mkdir()
        records = [_add_dataset(root, part) for part in datasets]
        checksums: dict[str, str] = {}
        sets = [_add_training_set(root, part, checksums) for part in training_sets]
        for place, source in copies.items():
            _copy(Path(source), root / place)
        record = ReleaseRecord(tuple(sets), tuple(records), tuple(model.name for model in models))
        write_metadata(root, description, record)
        _introduce(root, description, record, origins or Origins(), score_table, checksums)
        contents.write_manifest(root, checksums)


def _introduce(
    root: Path,
    description: ReleaseDescription,
    record: ReleaseRecord,
    origins: Origins,
    score_table: Path | None,
    checksums: Mapping[str, str],
) -> None:
    """Write the cards of a release, its licence, how to cite it and croissant.json; all else is there already."""
    shown = sorted(folder.name for folder in (root / GALLERY).glob("*/"))
    if shown:
        page = gallery_page(shown, title=f"{description.name}: gallery")
        (root / GALLERY / "index.html").write_text(page, encoding="utf-8")
    show_training_sets(root, [each.name for each in record.training_sets])
    write_model_cards(root, description, record.models, origins)
    made_of = origins.restricted([each.name for each in record.datasets])
    cited, upstream = papers(made_of), [licence_of(file) for _, file in upstream_files(made_of)]
    write_croissant(root, description, record.training_sets, checksums, bibtex(description, cited))
    texts = {
        "README.md": Card(root, description, record, origins, score_table).text(),
        "LICENSE": licence_text(description, upstream),
        "CITATION.cff": citation_file(description, cited),
    }
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


def image_path(record: DatasetRecord, identity: int, label: str) -> str:
    """Path of a sample's image in a release, given its published label."""
    return str(release_path(f"{record.name}/{record.image_folder}/{identity:05d}/{label}.png"))


def _add_dataset(root: Path, part: DatasetPart) -> DatasetRecord:
    folder = root / part.name
    folder.mkdir()
    if part.image_shards:
        collection = SampleCollection.load(part.samples)
        shards = ImageShards(part.image_shards)
        record = DatasetRecord.of(
            part.name, collection, shards.image_size, part.template, statistics=part.statistics is not None
        )
        _copy_images(root, record, collection, shards)
        collection.publishable().save_published(folder / "samples.h5")
    else:
        assert part.image_size is not None
        record = DatasetRecord.of_file(
            part.name, part.samples, part.image_size, part.template, statistics=part.statistics is not None
        )
    shutil.copyfile(part.command, folder / "command.yml")
    if part.statistics is not None:
        save_statistics(folder / "stats.h5", load_statistics(part.statistics))  # in the meanings of today
    return record


def _add_training_set(root: Path, part: TrainingSetPart, checksums: dict[str, str]) -> ReleasedSetRecord:
    """Put the files of a training set's exports into the release, and note their checksums by path in the release."""
    records = []
    for layout, path in part.exports.items():
        record, files = read_record(path)
        records.append(record)
        for file in files:
            place = str(release_path(f"{contents.LAYOUT_FOLDERS[layout]}/{part.name}/{file.path}"))
            _link(path.parent / file.path, root / place)
            checksums[place] = file.checksum
    if any(record != records[0] or record.name != part.name for record in records):
        raise BrownidError(
            f"The exports of the training set {part.name!r} differ in content or name: run their stages again."
        )
    return ReleasedSetRecord(**asdict(records[0]), template=part.template, layouts=list(part.exports))


def _link(source: Path, target: Path) -> None:
    """Put a file into the release without a copy of its content, where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise BrownidError(f"{source}: there is no such file; run the stage that exports it again.") from None
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)


def _copy_images(root: Path, record: DatasetRecord, collection: SampleCollection, shards: ImageShards) -> None:
    """Write each image's bytes, as they are, under its sample's name."""
    labels = published_labels(collection)
    names = zip(collection.identities.tolist(), collection.labels, labels, strict=True)
    published = {(identity, label): name for identity, label, name in names}
    missing = set(published)
    for index in progress(range(len(shards)), f"copying images of {record.name}", "image"):
        key = (int(shards.identities[index]), shards.labels[index])
        if key not in missing:
            what = "occurs twice" if key in published else "belongs to no sample"
            shard = shards.path_of(index)
            raise BrownidError(
                f"{shard}: the image of identity {key[0]}, label {key[1]!r} {what} of dataset {record.name}."
            )
        missing.remove(key)
        path = root / image_path(record, key[0], published[key])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shards.encoded(index))
    if missing:
        identity, label = min(missing)
        raise BrownidError(
            f"{len(missing)} samples of dataset {record.name} have no image, the first is identity {identity},"
            f" label {label!r}; render the dataset again."
        )


def _copies(
    models: Sequence[ModelPart], files: Sequence[FilePart], score_table: Path | None
) -> dict[PurePosixPath, Path]:
    """Path in the release -> source, of everything that is copied as it is."""
    pairs = [pair for model in models for pair in model.places().items()]
    pairs += [(PurePosixPath(part.path), part.source) for part in files]
    if score_table is not None:
        pairs.append((PurePosixPath("scores") / Path(score_table).name, score_table))
    _check_distinct("file", [str(place) for place, _ in pairs])
    return dict(pairs)


def _copy(source: Path, target: Path) -> None:
    """Put a file into the release, or a folder with many, such as thumbnails, whose files are linked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    for file in sorted(source.rglob("*")):
        if not file.is_dir():
            _link(file, target / file.relative_to(source))


def _check_destination(destination: Path) -> None:
    """Only a release, an empty folder or nothing may be replaced."""
    if not destination.exists():
        return
    if not destination.is_dir():
        raise BrownidError(f"{destination}: a file is in the way of the release; move it or choose another place.")
    if any(destination.iterdir()) and not (destination / METADATA).is_file():
        raise BrownidError(f"{destination}: the folder holds something that is no release; it is left alone.")


def _check_sources(sources: Sequence[Path]) -> None:
    missing = [str(source) for source in sources if not Path(source).exists()]
    if missing:
        raise BrownidError(f"{listed(missing)}: there is no such file to put into the release; run its stage first.")


def _check_distinct(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BrownidError(f"The release would hold the {what} {twice[0]!r} twice; give it another name.")
