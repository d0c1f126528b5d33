"""The jobs of HyperFace as the tests call them: small settings, a folder for what they write."""

import inspect
import pkgutil

import numpy as np
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.facemodel.loading import load_face_model, random_latents
from brownid.hyperface.inversion import load_faces
from brownid.samples.collection import SampleCollection
from invert_embeddings import invert_embeddings
from pack_references import pack_references
from vary_references import vary_references

PACKING = {"iterations": 6, "record_every": 2}
INVERSION = {"iterations": 2, "learning_rate": 0.05, "start": "gallery"}


def whole(path, label):
    return load_faces(path, label, columns=("latents", "embeddings"))


def packing_settings(gallery_size=None, **packing):
    settings = {"seed": 3, "packing": PACKING | packing, "identities": IDENTITIES, "network_name": "slim"}
    return settings | {"gallery_size": gallery_size}


def pack(folder, faces, gallery_size=None, gallery=None, **packing):
    pack_references(
        packing_settings(gallery_size, **packing),
        start=faces,
        gallery=gallery or faces,
        samples=folder / "targets.h5",
        statistics=folder / "packing.h5",
        command=folder / "packing.yml",
        state=folder / "state",
    )
    return folder / "targets.h5"


def invert(folder, targets, faces, weights, settings=FACE_MODEL, failed=1.0, **inversion):
    invert_embeddings(
        settings | {"inversion": INVERSION | inversion, "maximum_rejected_share": failed},
        targets=targets,
        packing_statistics=targets.with_name("packing.h5"),
        faces=faces,
        weights=weights,
        samples=folder / "samples.h5",
        statistics=folder / "stats.h5",
        command=folder / "command.yml",
        table=folder / "inversion.csv",
        batch_size=4,
        state=folder / "state",
        saving={"iterations": 1},
    )
    return SampleCollection.load(folder / "samples.h5")


def vary(folder, references, weights, settings, shard=1, shards=1):
    vary_references(
        settings,
        references=references,
        weights=weights,
        covariates=None,
        shard=shard,
        shards=shards,
        samples=folder / f"{shard}.h5",
        statistics=folder / f"{shard}.stats.h5",
        batch_size=4,
    )
    return SampleCollection.load(folder / f"{shard}.h5")


def conditioned(**settings):
    entry = {"algorithm": "hyperface", "settings": {"variations": 3, "iterations": 1, **settings}}
    return FACE_MODEL | {"variations": entry, "truncation": 0.7}


def spied(monkeypatch, name):
    """A dictionary that fills with what the next call of a function is given."""
    given, function = {}, pkgutil.resolve_name(name)

    def spy(*arguments, **named):
        given.update(inspect.signature(function).bind(*arguments, **named).arguments)
        return function(*arguments, **named)

    monkeypatch.setattr(name, spy)
    return given


def std_of_random_faces(weights):
    """Root mean square distance of a thousand untruncated random latents from their mean."""
    latents = random_latents(load_face_model(FACE_MODEL, weights).generator, range(1000), 1.0, 3).cpu().numpy()
    return np.sqrt(latents.var(axis=0).sum())
