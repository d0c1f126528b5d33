"""UTKFace: images of nobody in particular, with age, gender and race in their names.

https://susanqq.github.io/UTKFace: `age_gender_race_datetime.jpg`, such as 25_1_2_20170116003421547.jpg(.chip.jpg).
The names tell no identity, so every image counts as a person of its own: good for keeping away from, not for training.
"""

import re
from pathlib import Path

from brownid.databases.folders import GROUP, PROTOCOL
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.listing import distinct_keys, image_paths
from brownid.errors import BrownidError
from brownid.runtime import logger

GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "others")

_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+(\.\w+)*")


def index_utkface(root: str | Path, index: str | Path) -> int:
    """Index the images below `root` with the attributes age, gender and race; returns their number.

    A few published files lack an attribute in their names: they are indexed without any, and counted in the log.
    """
    samples = [
        Sample(key, path, number, _attributes(path.rpartition("/")[2]))
        for number, (path, key) in enumerate(distinct_keys(image_paths(root)).items())
    ]
    unnamed = sum(not sample.meta for sample in samples)
    if unnamed == len(samples):
        raise BrownidError(f"No image below {root} has a name of UTKFace, such as 25_1_2_20170116003421547.jpg.")
    if unnamed:
        logger.warning("%d of %d images have no age, gender and race in their names", unnamed, len(samples))
    DatabaseIndex.create(index, samples, {PROTOCOL: {GROUP: None}})
    return len(samples)


def _attributes(name: str) -> dict[str, str | int]:
    match = _NAME.fullmatch(name)
    if match is None:
        return {}
    return {"age": int(match["age"]), "gender": GENDERS[int(match["gender"])], "race": RACES[int(match["race"])]}
