"""Verify the release as its reader would."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from pathlib import Path

from brownid.release.verify import verify
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path


def verify_release(*, manifest: Path, threads: int, verified: Path) -> None:
    """Verify the release that `manifest` belongs to; write a line that says so, or fail with every problem."""
    root = manifest.parent
    problems = verify(root, threads)
    if problems:
        raise BrownidError(f"the release {root} is not sound:\n  " + "\n  ".join(problems))
    with atomic_path(verified) as temporary:
        temporary.write_text(f"{root.name}: every file and sample verified\n", encoding="utf-8")
    logger.info("%s is sound", root)


if __name__ == "__main__":
    run(verify_release, snakemake)
