"""Package what a run made as a release."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from brownid.gallery.completeness import gallery_facts
from brownid.release.contents import DatasetPart, FilePart, ModelPart, ReleaseDescription, TrainingSetPart
from brownid.release.origins import Origins
from brownid.release.package import build_release
from brownid.samples.provenance import ACCEPTED


def package_release(settings: Mapping[str, Any], *, manifest: Path) -> None:
    """Write the release folder that `manifest` lies in, from the files that `settings["parts"]` names."""
    wanted, parts, accepted = settings["release"], settings["parts"], Path(ACCEPTED)
    build_release(
        manifest.parent,
        description=ReleaseDescription(
            wanted["name"],
            wanted["description"],
            wanted["creator"],
            wanted["licence"],
            version=wanted["version"],
            date=wanted["date"],
        ),
        datasets=[_dataset(name, files, settings["images"]) for name, files in parts["datasets"].items()],
        training_sets=[
            TrainingSetPart(name, {layout: Path(path) for layout, path in exports.items()}, settings["templates"][name])
            for name, exports in parts["training_sets"].items()
        ],
        models=[_model(name, files) for name, files in parts["models"].items()],
        files=[
            *[FilePart(Path(path), f"databases/{name}.sqlite") for name, path in parts["databases"].items()],
            *[FilePart(Path(path), _covariates_place(path)) for path in parts["covariates"]],
            *[FilePart(Path(path), _packed_place(path)) for path in parts["packings"]],
            *[_gallery(name, Path(path)) for name, path in parts["galleries"].items()],
            *[FilePart(Path(path), _place(path)) for path in parts["tables"] + parts["figures"]],
        ],
        origins=Origins.of(settings["origins"]),
        score_table=Path(parts["score_table"]) if parts["score_table"] else None,
        accepted=accepted if accepted.exists() else None,
    )


def _dataset(name: str, files: Mapping[str, Any], images: Mapping[str, Any]) -> DatasetPart:
    return DatasetPart(
        name,
        samples=Path(files["samples"]),
        command=Path(files["command"]),
        image_shards=tuple(Path(path) for path in files["images"]),
        statistics=Path(files["statistics"]),
        image_size=images["image_size"],
        template=images["template"],
    )


def _model(name: str, files: Mapping[str, Any]) -> ModelPart:
    return ModelPart(
        name,
        checkpoint=Path(files["checkpoint"]),
        weights=Path(files["weights"]),
        history=Path(files["history"]),
        hyperparameters=Path(files["command"]),
        scores=Path(files["scores"]),
        pair_scores=Path(files["pairs"]),
        batch=Path(files["batch"]) if files["batch"] else None,
    )


def _gallery(name: str, data: Path) -> FilePart:
    """The folder of a dataset's thumbnails, which must be whole."""
    gallery_facts(data)
    return FilePart(data.parent, f"gallery/{name}")


def _covariates_place(path: str) -> str:
    """Path in the release of results/covariates/<name>/covariates.h5 or within_class.h5."""
    folder, file = PurePosixPath(path).parts[-2:]
    return f"covariates/{folder}.h5" if file == "covariates.h5" else f"covariates/{folder}.{file}"


def _packed_place(path: str) -> str:
    """Path in the release of a packing's results: results/hyperface/<name>/…"""
    return str(PurePosixPath(path).relative_to("results"))


def _place(path: str) -> str:
    """Path in the release of a table or figure: results/tables/… below scores/, results/figures/… below figures/.

    Scores on evaluation benchmarks are the only ones there, and need no folder of their own.
    """
    folder, *rest = PurePosixPath(path).relative_to("results").parts
    rest = rest[1:] if rest[0] == "evaluation" else rest
    return str(PurePosixPath("scores" if folder == "tables" else folder, *rest))


if __name__ == "__main__":
    run(package_release, snakemake)
