"""Indexes that others made, such as the authors': read, completed and written as ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.multipie import Picture
from brownid.databases.reading import advice_on_root, image_exists
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

# The authors' MultiPIE index has both of bob's names of one group: `train` in the protocols of its CSV lists (U),
# `world` in those of its .lst lists (P_center_lit, E_lit).
GROUP_NAMES = {"world": "train"}


def import_index(root: str | Path, index: str | Path, source: str | Path, kind: str) -> int:
    """Write the samples and protocols of the index `source` as an index of ours; returns the number of samples.

    Of the kind `multipie`, pictures get the attribute classes that follow from their paths (some of the authors' have
    camera and expression, others none). BrownidError where none of the images is below `root`.
    """
    with DatabaseIndex.open(source) as published:
        samples = [_completed(sample) if kind == "multipie" else sample for sample in published.samples()]
        protocols = {protocol: _renamed(groups) for protocol, groups in published.members().items()}
    if not samples:
        raise BrownidError(f"The index {source} holds no samples.")
    missing = sum(not image_exists(Path(root) / sample.path) for sample in samples)
    if missing == len(samples):
        raise BrownidError(
            f"None of the {len(samples)} images of the index {source} is below {root}, which must be laid out as "
            f"that of the index's maker; {advice_on_root(root, samples[0].path)}."
        )
    if missing:
        logger.warning("%d of %d images of the index %s are not below %s", missing, len(samples), source, root)
    DatabaseIndex.create(index, samples, protocols)
    return len(samples)


def _completed(sample: Sample) -> Sample:
    picture = Picture.from_path(sample.path)
    if picture is None:
        return sample
    return Sample(sample.key, sample.path, sample.identity, {**sample.meta, **picture.sample().meta})


def _renamed(groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The groups under our names; two that get one name are joined."""
    renamed: dict[str, dict[str, None]] = {}
    for group, keys in groups.items():
        renamed.setdefault(GROUP_NAMES.get(group, group), {}).update(dict.fromkeys(keys))
    return {group: list(keys) for group, keys in renamed.items()}
