"""Synthetic face-recognition datasets by Brownian identity diffusion, from latents to a release.

The names in `__all__` are the public interface: they stay, with their meaning, within a minor version, and CHANGELOG.md
names what changes between two. Everything else may move or change in any version. A name is imported from its module
when it is first used, so that `import brownid` takes no time; the library itself imports from the modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.4.0"

_NAMES = {  # module of this package -> its public names
    "alignment.detection": ("detector",),
    "alignment.photographs": ("align_photograph",),
    "alignment.warp": ("realign",),
    "covariates.directions": ("Covariate", "edit_references", "fit_covariate", "load_covariates", "save_covariates"),
    "covariates.projection": ("Projection", "project"),
    "covariates.settings": ("EditingSettings", "ProjectionSettings"),
    "covariates.within_class": ("WithinClass", "fit_within_class", "load_within_class", "save_within_class"),
    "databases.index": ("DatabaseIndex",),
    "dynamics.baselines": ("BaselineResult", "random_references", "reject_references", "repulse_references"),
    "dynamics.dispersion": ("DispersionResult", "dispersion"),
    "dynamics.langevin": ("LangevinResult", "langevin"),
    "dynamics.settings": (
        "DispersionSettings",
        "LangevinSettings",
        "RejectSettings",
        "RepulseSettings",
        "WithinClassSettings",
    ),
    "dynamics.steps": ("NuisanceProjection",),
    "embeddings.distances": ("leak_audit", "nearest_angles"),
    "facemodel.loading": ("load_face_model", "load_generator", "random_latents"),
    "facemodel.model": ("FaceModel", "GeneratorFaceModel"),
    "generators.protocol": ("EmbeddingConditionedGenerator", "Generator", "GeneratorDefaults"),
    "hyperface.inversion": ("Inversion", "invert"),
    "hyperface.packing": ("Packing", "pack"),
    "hyperface.settings": ("InversionSettings", "LatentOptimizationSettings", "PackingSettings"),
    "recognition.backbones": ("backbone",),
    "recognition.embedding": ("embed_images",),
    "recognition.heads": ("AdaFaceHead", "ArcFaceHead", "CosFaceHead"),
    "recognition.loading": ("load_backbone", "load_network", "save_backbone"),
    "release.contents": ("DatasetPart", "FilePart", "ModelPart", "ReleaseDescription", "TrainingSetPart"),
    "release.package": ("build_release",),
    "release.verify": ("verify",),
    "runtime.errors": ("BrownidError",),
    "runtime.randomness": ("NoiseKey",),
    "samples.collection": ("SampleCollection",),
    "samples.images": ("ImageShards", "write_image_shard"),
    "samples.provenance": ("read_command", "write_command"),
    "samples.statistics": ("load_statistics", "save_statistics"),
    "training.run": ("train_recognition",),
    "training.settings": ("TrainingSettings",),
    "verification.accuracy": ("Verification", "verification_accuracy"),
    "verification.bins": ("read_bin",),
    "verification.error_rates": ("Roc", "TarAtFar", "d_prime", "equal_error_rate", "roc", "tar_at_far"),
    "verification.pair_scores": ("PairScores", "read_pair_scores"),
    "verification.score": ("score_network",),
    "verification.uncertainty": ("Estimate", "PersonResamples", "resample_persons"),
    "world.generator": ("ProceduralGenerator",),
}
_MODULES = {name: f"brownid.{module}" for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULES)

if TYPE_CHECKING:
    from brownid.alignment.detection import detector as detector
    from brownid.alignment.photographs import align_photograph as align_photograph
    from brownid.alignment.warp import realign as realign
    from brownid.covariates.directions import Covariate as Covariate
    from brownid.covariates.directions import edit_references as edit_references
    from brownid.covariates.directions import fit_covariate as fit_covariate
    from brownid.covariates.directions import load_covariates as load_covariates
    from brownid.covariates.directions import save_covariates as save_covariates
    from brownid.covariates.projection import Projection as Projection
    from brownid.covariates.projection import project as project
    from brownid.covariates.settings import EditingSettings as EditingSettings
    from brownid.covariates.settings import ProjectionSettings as ProjectionSettings
    from brownid.covariates.within_class import WithinClass as WithinClass
    from brownid.covariates.within_class import fit_within_class as fit_within_class
    from brownid.covariates.within_class import load_within_class as load_within_class
    from brownid.covariates.within_class import save_within_class as save_within_class
    from brownid.databases.index import DatabaseIndex as DatabaseIndex
    from brownid.dynamics.baselines import BaselineResult as BaselineResult
    from brownid.dynamics.baselines import random_references as random_references
    from brownid.dynamics.baselines import reject_references as reject_references
    from brownid.dynamics.baselines import repulse_references as repulse_references
    from brownid.dynamics.dispersion import DispersionResult as DispersionResult
    from brownid.dynamics.dispersion import dispersion as dispersion
    from brownid.dynamics.langevin import LangevinResult as LangevinResult
    from brownid.dynamics.langevin import langevin as langevin
    from brownid.dynamics.settings import DispersionSettings as DispersionSettings
    from brownid.dynamics.settings import LangevinSettings as LangevinSettings
    from brownid.dynamics.settings import RejectSettings as RejectSettings
    from brownid.dynamics.settings import RepulseSettings as RepulseSettings
    from brownid.dynamics.settings import WithinClassSettings as WithinClassSettings
    from brownid.dynamics.steps import NuisanceProjection as NuisanceProjection
    from brownid.embeddings.distances import leak_audit as leak_audit
    from brownid.embeddings.distances import nearest_angles as nearest_angles
    from brownid.facemodel.loading import load_face_model as load_face_model
    from brownid.facemodel.loading import load_generator as load_generator
    from brownid.facemodel.loading import random_latents as random_latents
    from brownid.facemodel.model import FaceModel as FaceModel
    from brownid.facemodel.model import GeneratorFaceModel as GeneratorFaceModel
    from brownid.generators.protocol import EmbeddingConditionedGenerator as EmbeddingConditionedGenerator
    from brownid.generators.protocol import Generator as Generator
    from brownid.generators.protocol import GeneratorDefaults as GeneratorDefaults
    from brownid.hyperface.inversion import Inversion as Inversion
    from brownid.hyperface.inversion import invert as invert
    from brownid.hyperface.packing import Packing as Packing
    from brownid.hyperface.packing import pack as pack
    from brownid.hyperface.settings import InversionSettings as InversionSettings
    from brownid.hyperface.settings import LatentOptimizationSettings as LatentOptimizationSettings
    from brownid.hyperface.settings import PackingSettings as PackingSettings
    from brownid.recognition.backbones import backbone as backbone
    from brownid.recognition.embedding import embed_images as embed_images
    from brownid.recognition.heads import AdaFaceHead as AdaFaceHead
    from brownid.recognition.heads import ArcFaceHead as ArcFaceHead
    from brownid.recognition.heads import CosFaceHead as CosFaceHead
    from brownid.recognition.loading import load_backbone as load_backbone
    from brownid.recognition.loading import load_network as load_network
    from brownid.recognition.loading import save_backbone as save_backbone
    from brownid.release.contents import DatasetPart as DatasetPart
    from brownid.release.contents import FilePart as FilePart
    from brownid.release.contents import ModelPart as ModelPart
    from brownid.release.contents import ReleaseDescription as ReleaseDescription
    from brownid.release.contents import TrainingSetPart as TrainingSetPart
    from brownid.release.package import build_release as build_release
    from brownid.release.verify import verify as verify
    from brownid.runtime.errors import BrownidError as BrownidError
    from brownid.runtime.randomness import NoiseKey as NoiseKey
    from brownid.samples.collection import SampleCollection as SampleCollection
    from brownid.samples.images import ImageShards as ImageShards
    from brownid.samples.images import write_image_shard as write_image_shard
    from brownid.samples.provenance import read_command as read_command
    from brownid.samples.provenance import write_command as write_command
    from brownid.samples.statistics import load_statistics as load_statistics
    from brownid.samples.statistics import save_statistics as save_statistics
    from brownid.training.run import train_recognition as train_recognition
    from brownid.training.settings import TrainingSettings as TrainingSettings
    from brownid.verification.accuracy import Verification as Verification
    from brownid.verification.accuracy import verification_accuracy as verification_accuracy
    from brownid.verification.bins import read_bin as read_bin
    from brownid.verification.error_rates import Roc as Roc
    from brownid.verification.error_rates import TarAtFar as TarAtFar
    from brownid.verification.error_rates import d_prime as d_prime
    from brownid.verification.error_rates import equal_error_rate as equal_error_rate
    from brownid.verification.error_rates import roc as roc
    from brownid.verification.error_rates import tar_at_far as tar_at_far
    from brownid.verification.pair_scores import PairScores as PairScores
    from brownid.verification.pair_scores import read_pair_scores as read_pair_scores
    from brownid.verification.score import score_network as score_network
    from brownid.verification.uncertainty import Estimate as Estimate
    from brownid.verification.uncertainty import PersonResamples as PersonResamples
    from brownid.verification.uncertainty import resample_persons as resample_persons
    from brownid.world.generator import ProceduralGenerator as ProceduralGenerator
else:  # a type checker knows all names from the imports above

    def __getattr__(name: str) -> object:
        """The public name, imported from its module and kept (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module 'brownid' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
