"""Licences of data: names and addresses of the common ones, and the file LICENSE of a release."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from brownid.release.contents import ReleaseDescription
from brownid.release.markup import one_line

NON_COMMERCIAL = re.compile(r"non-?commercial|research[- ]only|\bNC\b", re.IGNORECASE)


@dataclass(frozen=True)
class Licence:
    """A licence by its SPDX identifier; the Hugging Face Hub has the same ones in lower case."""

    spdx: str
    name: str
    address: str

    @property
    def hub(self) -> str:
        """The identifier in the header of a card on the Hugging Face Hub."""
        return self.spdx.lower()


def _creative_commons(kind: str, name: str) -> Licence:
    return Licence(
        f"CC-{kind}-4.0",
        f"Creative Commons {name} 4.0 International",
        f"https://creativecommons.org/licenses/{kind.lower()}/4.0/",
    )


KNOWN = {
    licence.spdx.lower(): licence
    for licence in (
        Licence(
            "CC0-1.0",
            "Creative Commons Zero 1.0 Universal",
            "https://creativecommons.org/publicdomain/zero/1.0/",
        ),
        _creative_commons("BY", "Attribution"),
        _creative_commons("BY-SA", "Attribution-ShareAlike"),
        _creative_commons("BY-NC", "Attribution-NonCommercial"),
        _creative_commons("BY-ND", "Attribution-NoDerivatives"),
        _creative_commons("BY-NC-SA", "Attribution-NonCommercial-ShareAlike"),
        _creative_commons("BY-NC-ND", "Attribution-NonCommercial-NoDerivatives"),
        Licence("MIT", "MIT License", "https://opensource.org/license/mit"),
        Licence("Apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        Licence(
            "BSD-3-Clause", 'BSD 3-Clause "New" or "Revised" License', "https://opensource.org/license/bsd-3-clause"
        ),
        Licence(
            "CDLA-Permissive-2.0",
            "Community Data License Agreement Permissive 2.0",
            "https://cdla.dev/permissive-2-0/",
        ),
        Licence("CDLA-Sharing-1.0", "Community Data License Agreement Sharing 1.0", "https://cdla.dev/sharing-1-0/"),
    )
}


def known(text: str) -> Licence | None:
    """The licence of an SPDX identifier, in whatever case; None for any other text."""
    return KNOWN.get(one_line(text).lower())


def address(text: str) -> str:
    """The address of a known licence; of another one, that of the file LICENSE in the release."""
    licence = known(text)
    return licence.address if licence else "LICENSE"


def card_keys(text: str) -> dict[str, str]:
    """The keys about the licence in the header of a card on the Hugging Face Hub."""
    licence = known(text)
    if licence:
        return {"license": licence.hub}
    name = re.sub(r"[^a-z0-9]+", "-", one_line(text).lower())[:60].strip("-")
    return {"license": "other", "license_name": name or "other", "license_link": "LICENSE"}


def is_non_commercial(text: str) -> bool:
    """Whether a statement about a licence restricts use to non-commercial purposes or research."""
    return bool(NON_COMMERCIAL.search(text))


def licence_text(description: ReleaseDescription, upstream: Sequence[str]) -> str:
    """The file LICENSE: the licence of the data, and a line per upstream licence, which it does not change."""
    stated = known(description.licence)
    lines = [f"{description.name} {one_line(description.version)}, published by {one_line(description.creator)}.", ""]
    if stated:
        lines += [
            f"The data are licensed under the {stated.name}.",
            "",
            f"SPDX-License-Identifier: {stated.spdx}",
            f"Text of the licence: {stated.address}",
        ]
    else:
        lines += ["Licence of the data, in the words of the publisher:", "", f"    {one_line(description.licence)}"]
    if upstream:
        lines += [
            "",
            "Files that the data were made with have licences of their own, which this one does not change:",
            "",
        ]
        lines += [f"- {one_line(line)}" for line in upstream]
    return "\n".join(lines) + "\n"
