"""What is in the gallery of a dataset, and whether all of it is there."""

import json
import math
from pathlib import Path
from typing import Any

from brownid.runtime.errors import BrownidError, listed


def gallery_facts(data: Path) -> dict[str, Any]:
    """What the script that begins a dataset's part of the gallery says of it; all that it names must be there.

    Snakemake knows that script alone, and would not notice that a sheet is gone.
    """
    text = data.read_text(encoding="utf-8").strip()
    facts: dict[str, Any] = json.loads(text.removeprefix("gallery.dataset(").removesuffix(");"))
    sheets = math.ceil(facts["images"] / (facts["columns"] * facts["rows"]))
    names = [f"part-{part:03}.js" for part in range(facts["parts"])] + [f"{sheet:05}.jpg" for sheet in range(sheets)]
    missing = [name for name in names if not (data.parent / name).is_file()]
    if missing:
        raise BrownidError(
            f"{data.parent}: {listed(missing)}: no such file, but {data.name} names it; make the gallery again with "
            "`snakemake --forcerun build_gallery`."
        )
    return facts
