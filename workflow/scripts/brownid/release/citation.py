"""How to cite a release: BibTeX, and CITATION.cff."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from brownid.release import licences
from brownid.release.contents import ReleaseDescription
from brownid.release.markup import one_line, tex


@dataclass(frozen=True)
class Paper:
    """A paper whose method a release uses."""

    key: str  # of BibTeX
    title: str
    authors: tuple[tuple[str, str], ...]  # family name, given name
    conference: str
    year: int

    def bibtex(self) -> str:
        """The entry."""
        authors = " and ".join(f"{family}, {given}" for family, given in self.authors)
        return _entry(
            "inproceedings",
            self.key,
            {
                "title": f"{{{tex(self.title)}}}",
                "author": authors,
                "booktitle": self.conference,
                "year": str(self.year),
            },
        )

    def cff(self) -> dict[str, Any]:
        """The reference of a CITATION.cff."""
        return {
            "type": "conference-paper",
            "title": self.title,
            "authors": [{"family-names": family, "given-names": given} for family, given in self.authors],
            "collection-title": self.conference,
            "year": self.year,
        }


_SHARED_AUTHORS = (("Otroshi Shahreza", "Hatef"), ("Marcel", "Sébastien"))
LANGEVIN = Paper(
    "geissbuehler2025synthetic",
    "Synthetic Face Datasets Generation via Latent Space Exploration from Brownian Identity Diffusion",
    (("Geissbühler", "David"), *_SHARED_AUTHORS),
    "International Conference on Machine Learning (ICML)",
    2025,
)
HYPERFACE = Paper(
    "otroshi2025hyperface",
    "HyperFace: Generating Synthetic Face Recognition Datasets by Exploring Face Embedding Hypersphere",
    _SHARED_AUTHORS,
    "International Conference on Learning Representations (ICLR)",
    2025,
)


def title(description: ReleaseDescription) -> str:
    """The title of a release where it is cited."""
    return f"{description.name}: a synthetic face-recognition dataset"


def bibtex(description: ReleaseDescription, papers: Sequence[Paper]) -> str:
    """The BibTeX entries of a release and of the papers."""
    key = re.sub(r"[^A-Za-z0-9]+", "_", description.name).strip("_").lower() or "release"
    entry = {
        "title": f"{{{tex(title(description))}}}",
        "author": f"{{{tex(description.creator)}}}",
        **({"year": description.date[:4]} if description.date else {}),
        "version": tex(description.version),
        "note": "Made with brownid",
    }
    return "\n\n".join([_entry("misc", key, entry), *(paper.bibtex() for paper in papers)])


def _entry(kind: str, key: str, values: dict[str, str]) -> str:
    width = max(map(len, values))
    lines = [f"  {name:{width}} = {{{value}}}," for name, value in values.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def citation_file(description: ReleaseDescription, papers: Sequence[Paper]) -> str:
    """CITATION.cff of a release (Citation File Format 1.2.0)."""
    licence = licences.known(description.licence)
    content = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it and the papers whose methods it uses.",
        "type": "dataset",
        "title": title(description),
        "abstract": one_line(description.description),
        "authors": [{"name": one_line(description.creator)}],
        "version": one_line(description.version),
        **({"date-released": description.date} if description.date else {}),
        **({"license": licence.spdx} if licence else {}),
        "references": [paper.cff() for paper in papers],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
