"""From a database index to an aligned image shard, which training and scoring read."""

from pathlib import Path

from brownid.databases.index import DatabaseIndex
from brownid.databases.reading import Align, read_images, write_failures
from brownid.errors import BrownidError
from brownid.samples.images import write_image_shard


def pack_database(
    index: str | Path,
    root: str | Path,
    output: str | Path,
    *,
    namespace: str,
    side: int,
    failures: str | Path,
    protocol: str | None = None,
    group: str | None = None,
    align: Align | None = None,
    maximum_failed_share: float = 0.0,
    part: int = 0,
    parts: int = 1,
) -> int:
    """Write the images of a group as one image shard `output`, and what failed to the CSV `failures`.

    `part` of `parts` is a contiguous slice of the samples, so that several jobs share a database; memory is one slice
    of `side * side * 3` bytes an image. Without `align` the images are aligned already (as the embedded captures
    are) and are only resized. The label of an image is its key in the index. Returns the number of images written.
    """
    if not 0 <= part < parts:
        raise BrownidError(f"Part {part} of {parts} parts of {index} does not exist; parts count from 0.")
    with DatabaseIndex.open(index) as database:
        samples = database.samples(group=group, protocol=protocol)
    chosen = samples[len(samples) * part // parts : len(samples) * (part + 1) // parts]
    images, kept, failed = read_images(chosen, root, side, maximum_failed_share, align)
    write_failures(failures, failed)
    identities = [sample.identity for sample in kept]
    write_image_shard(output, namespace, identities, [sample.key for sample in kept], images)
    return len(kept)
