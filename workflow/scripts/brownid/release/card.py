"""README.md of a release: a dataset card of the Hugging Face Hub, in which every statement follows from a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brownid.alignment.templates import template
from brownid.release import findings, licences, loading, making
from brownid.release.citation import bibtex
from brownid.release.contents import ReleaseDescription
from brownid.release.markup import code, listing, plain, table, yaml_header
from brownid.release.metadata import DatasetRecord, ReleaseRecord
from brownid.release.origins import Origins
from brownid.release.pictures import PICTURE

SIZES = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M", 10**7: "1M<n<10M"}
SIZES |= {10**8: "10M<n<100M", 10**9: "100M<n<1B", 10**10: "1B<n<10B"}
REFERENCES = {
    "langevin": "Langevin dynamics (the embeddings of all identities repel each other)",
    "random": "random latents",
    "reject": "random latents, kept where their embedding is far enough from those kept before",
    "repulse": "random latents, moved away from their nearest neighbours, and kept where they are far enough",
    "hyperface": "HyperFace (embeddings packed far apart on the hypersphere, then rendered)",
}
VARIATIONS = {
    "dispersion": "Dispersion (latents spread around the reference, embeddings stay near its own)",
    "disco": "DisCo (Dispersion from a start along directions of pose, illumination and expression)",
    "within_class": "Dispersion from a start that varies as photographs of one person do (within-class covariance)",
    "covariates": "edits along directions of pose, illumination and expression",
    "hyperface": "HyperFace (noise on the packed embedding)",
}
LANDMARKS = ("left eye", "right eye", "tip of the nose", "left corner of the mouth", "right corner of the mouth")
FOLDERS = {
    "trained_models": "FR networks trained on the sets: cards, weights (`.safetensors`), checkpoints (`.ckpt`), and in"
    " `results/` the history of their training, hyperparameters, scores, and the similarity of each benchmark pair"
    " (`pairs.parquet`)",
    "databases": "indexes (SQLite) of the face databases that took part; they hold no images",
    "covariates": "directions of pose, illumination and expression, and within-class covariance, in latent space",
    "hyperface": "packed embeddings (`targets.h5`), and how near each identity came to its embedding (`inversion.csv`)",
    "scores": "tables of results",
    "figures": "figures of results",
    "gallery": "thumbnails of every image, sorted and filtered by what the judge measured: open `gallery/index.html`",
}
VERIFYING = (
    "## Verification\n\n`sha256sum -c checksums.sha256` checks every file. `brownid verify .` also opens every set and"
    " collection, decodes every image and compares them with `metadata.json`; it passes over what file managers leave"
    " in folders (`.DS_Store`, `Thumbs.db`)."
)


@dataclass(frozen=True)
class Card:
    """What the card is written from; `root` is the release so far, of which only what is there is described."""

    root: Path
    description: ReleaseDescription
    record: ReleaseRecord
    origins: Origins
    score_table: Path | None = None

    def text(self) -> str:
        """The card, in Markdown below a YAML header."""
        stated, names = self.description, [each.name for each in self.record.datasets]
        origins = self.origins.restricted(names)
        sections = [
            self._title(),
            self._sets(),
            self._crops(),
            loading.section(stated.name, self.record.training_sets, self.record.datasets),
            making.section(self.root, names, origins),
            findings.audit_section(self.root, names, origins),
            findings.score_section(self.score_table, self.record.models, self.origins) if self.score_table else "",
            findings.quality_section(self.root, names, self.origins),
            self._limits(),
            f"## Intended use\n\n{plain(stated.intended_use)}",
            self._contents(),
            VERIFYING,
            making.licence_section(stated.creator, stated.licence, origins),
            self._citation(),
        ]
        return "\n\n".join([yaml_header(self._header()), *filter(None, sections)]) + "\n"

    def _header(self) -> dict[str, Any]:
        images = sum(each.rows for each in self.record.training_sets) or sum(
            each.samples for each in self.record.datasets
        )
        size = next(name for limit, name in SIZES.items() if images < limit)
        algorithms = {origin.algorithm.replace("_", "-") for origin in self.origins.datasets.values()}
        configs = self._configurations()
        return {
            "pretty_name": f"{self.description.name} {self.description.version}",
            **licences.card_keys(self.description.licence),
            "task_categories": ["image-classification", "image-feature-extraction"],
            "size_categories": [size],
            "annotations_creators": ["machine-generated"],
            "tags": ["face-recognition", "synthetic", "faces", "biometrics", "brownid", *sorted(algorithms)],
            **({"configs": configs} if configs else {}),
        }

    def _configurations(self) -> list[dict[str, Any]]:
        """What `load_dataset` opens by name: training sets in Parquet or tar shards, else the published images."""
        for layout, files in (("parquet", "*.parquet"), ("webdataset", "*.tar")):
            sets = [each for each in self.record.training_sets if layout in each.layouts]
            if sets:
                return [_configuration(each.name, f"{each.folder(layout)}/{files}") for each in sets]
        published = [each for each in self.record.datasets if each.published]
        return [
            {**_configuration(each.name, f"{each.name}/{each.image_folder}/*/*.png"), "drop_labels": False}
            for each in published
        ]

    def _title(self) -> str:
        parts = [f"# {plain(self.description.name)} {plain(self.description.version)}"]
        parts.append(plain(self.description.description))
        if (self.root / PICTURE).is_file():
            parts += [
                f"![The first identities of each training set]({PICTURE})",
                "*The first identities of each set, not selected: on the left the reference, then variations of it.*",
            ]
        return "\n\n".join(parts)

    def _sets(self) -> str:
        parts = ["## Training sets"]
        if self.record.training_sets:
            rows = [
                [code(each.name), f"{each.rows:,}", f"{each.classes:,}", " + ".join(map(code, each.datasets))]
                for each in self.record.training_sets
            ]
            parts += [
                "A *reference* is the image that defines a synthetic identity; a training set joins references with"
                " variations of them. Its classes are identities, numbered from 0; `identity` names them across all"
                " sets.",
                table(["set", "images", "identities", "joined from"], rows, right=(1, 2)),
                "The datasets that they are joined from:",
            ]
        rows = [
            [code(each.name), f"{each.samples:,}", f"{each.identities:,}", self._method(each)]
            for each in self.record.datasets
        ]
        return "\n\n".join([*parts, table(["dataset", "images", "identities", "made by"], rows, right=(1, 2))])

    def _method(self, record: DatasetRecord) -> str:
        origin = self.origins.datasets.get(record.name)
        if origin is None:
            return "not recorded, see its `command.yml`"
        if origin.references == record.name:
            missing = record.identities < (origin.identities or 0)
            succeeded = f"; {record.identities:,} of {origin.identities:,} succeeded" if missing else ""
            return f"references by {REFERENCES[origin.algorithm]}{succeeded}"
        return f"variations of {code(origin.references)} by {VARIATIONS[origin.algorithm]}"

    def _crops(self) -> str:
        items = []
        crops = [(each.template, each.image_size) for each in self.record.training_sets]
        crops += [(each.template, each.image_size) for each in self.record.datasets]
        for name, size in dict.fromkeys(crops):
            if name is not None:
                points = zip(LANDMARKS, template(name, size).tolist(), strict=False)
                places = ", ".join(f"{landmark} ({x:.2f}, {y:.2f})" for landmark, (x, y) in points)
                items.append(f"{size}×{size} pixels, template {code(name)}: {places}")
        note = (
            "RGB. Points are (x, y) in pixels from the centre of the upper left one, y down; left and right are"
            " those of the image. A network trained on these crops needs crops like them."
        )
        return f"## Crops\n\n{listing(items)}\n\n{note}" if items else ""

    def _limits(self) -> str:
        items = []
        if self.origins.is_rendered:
            items.append(
                "The faces are drawings of a procedural world, made to test methods quickly, and no substitute for"
                " photographs in training."
            )
        measured = " (*consistency* above)" if findings.quality(self.root) else ""
        items += [
            "An image has the label of its identity by construction; an FR network may see another person in"
            f" it{measured}.",
            "Two identities may look alike: what keeps them apart, if anything does, is the embedding of one network.",
            "Age, gender and skin colour are neither annotated nor balanced: they follow the generator and its"
            " sampling.",
        ]
        items += self._photographs()
        return f"## Known limits\n\n{listing(items)}"

    def _photographs(self) -> list[str]:
        """Where files of the release show photographs of persons."""
        databases = self.origins.databases
        names = [each.name for each in self.record.datasets]
        shown = [
            (audit.database, f"figures/leaks/{audit.references}.png")
            for audit in findings.leak_audits(self.root, self.origins.restricted(names))
        ]
        shown += [
            (name, f"trained_models/results/{model}/batch.png")
            for model in self.record.models
            for name in self.origins.training.get(model.partition("/")[0], ())
        ]
        return [
            f"`{path}` shows photographs of persons, of the database {code(name)}."
            for name, path in shown
            if name in databases and not databases[name].rendered and (self.root / path).is_file()
        ]

    def _contents(self) -> str:
        first = (
            "`DATASET/`: per dataset `command.yml`, `stats.h5` (what was measured at each iteration), and in the"
            " published layout `samples.h5` and images"
        )
        others = [f"`{name}/`: {text}" for name, text in FOLDERS.items() if (self.root / name).is_dir()]
        return f"## What else is here\n\n{listing([first, *others])}"

    def _citation(self) -> str:
        entries = bibtex(self.description, making.papers(self.origins))
        return (
            f"## Citation\n\nPlease cite the dataset and the papers whose methods it uses.\n\n```bibtex\n{entries}\n```"
        )


def _configuration(name: str, path: str) -> dict[str, Any]:
    return {"config_name": name, "data_files": [{"split": "train", "path": path}]}
