"""Configuration files merged as Snakemake merges them, checked against the schema, and completed with defaults."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from brownid.alignment.settings import MTCNNSettings, YuNetSettings
from brownid.configuration.hyperface import check_embedding_conditioned
from brownid.configuration.links import ONNX, check_links, is_named_onnx
from brownid.covariates.settings import ComparisonSettings, EditingSettings, ProjectionSettings, WarmStartSettings
from brownid.dynamics.settings import (
    DispersionSettings,
    LangevinSettings,
    RandomSettings,
    RejectSettings,
    RepulseSettings,
    WithinClassSettings,
)
from brownid.generators.settings import (
    Arc2FaceSettings,
    LatentDiffusionSettings,
    StyleGAN2GeneratorSettings,
    StyleGAN3GeneratorSettings,
)
from brownid.hyperface.settings import ConditioningSettings, InversionSettings, PackingSettings
from brownid.runtime.errors import BrownidError, one_line, suggestion
from brownid.runtime.settings import Settings, object_schema
from brownid.runtime.text import check_document, check_expansion, read_yaml
from brownid.training.settings import TrainingSettings
from brownid.weights.catalogue import advice, fetched_paths, generator_files, read_catalogue, same_path
from brownid.world.settings import BenchmarkCapture, MultipieCapture, PeopleCapture, PortraitCapture, ProceduralSettings

# section -> the keys of an entry that name a file, or several by role
OWN_FILES = {
    "generators": ("file",),
    "networks": ("weights",),
    "benchmarks": ("file", "pairs"),
    "databases": ("index", "metadata", "landmarks"),
    "detectors": ("file", "files"),
    "covariates": ("vgg16",),
}
OWN_FOLDERS = {"generators": ("folder", "base"), "databases": ("root", "lists"), "benchmarks": ("folder",)}


class OwnPath(NamedTuple):
    """A file or folder of the user's that an entry names."""

    place: str  # the key in the configuration
    path: str
    is_folder: bool

    @property
    def exists(self) -> bool:
        """Whether it is there, as what it should be."""
        return Path(self.path).is_dir() if self.is_folder else Path(self.path).is_file()


def own_paths(config: Mapping) -> list[OwnPath]:
    """Every file and folder of the user's that a configuration names, in the order of its entries."""
    named = [*_named(config, OWN_FILES, is_folder=False), *_named(config, OWN_FOLDERS, is_folder=True)]
    for name, spec in config.get("generators", {}).items():
        inside = generator_files(spec) if spec.get("folder") else []
        named += [OwnPath(f"generators.{name}", path, is_folder=False) for path in inside]
    return named


def anchor_own_paths(config: Mapping) -> None:
    """Make the paths of the user's files and folders absolute, in place; they name the same files from any folder."""
    for keys in (OWN_FILES, OWN_FOLDERS):
        for section, names in keys.items():
            for entry in config.get(section, {}).values():
                for key in names:
                    value = entry.get(key)
                    if isinstance(value, dict):
                        entry[key] = {role: path and str(Path(path).absolute()) for role, path in value.items()}
                    elif value:
                        entry[key] = str(Path(value).absolute())


def check_files(config: Mapping) -> None:
    """Raise a `BrownidError` naming the first of the user's files and folders that does not exist.

    Snakemake would notice a missing input only when the stage that reads it has to run. Files that the configuration
    asks to fetch may be missing.
    """
    missing = [own for own in own_paths(config) if not own.exists]
    if not missing:
        return
    own_catalogue = config.get("models", {}).get("catalogue")
    catalogue = read_catalogue(own_catalogue)
    fetched = fetched_paths(config)
    for own in missing:
        if same_path(own.path) not in fetched:
            what = "folder" if own.is_folder else "file"
            below = "" if Path(own.path).is_absolute() else f" in {Path.cwd()}"
            steps = advice(catalogue, own.path, own_catalogue)
            raise BrownidError(f"{own.place}: there is no {what} {own.path}{below}{steps}.")


def _named(config: Mapping, keys: Mapping[str, tuple[str, ...]], is_folder: bool) -> Iterator[OwnPath]:
    for section, names in keys.items():
        for entry_name, entry in config.get(section, {}).items():
            for key in names:
                place, value = f"{section}.{entry_name}.{key}", entry.get(key)
                if isinstance(value, Mapping):
                    yield from (OwnPath(f"{place}.{role}", path, is_folder) for role, path in value.items() if path)
                elif value:
                    yield OwnPath(place, value, is_folder)


class _Loader(yaml.SafeLoader):
    """YAML that also reads 1e-4 as a number, as YAML 1.2 and Snakemake's command line do."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)


def merged(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> dict[str, Any]:
    """The content of configuration files, merged in their order, and then the `values` (see `override`)."""
    together: dict[str, Any] = {}
    for path in configfiles:
        content = read_yaml(path)
        if not isinstance(content, Mapping):
            raise BrownidError(f"{path}: a configuration is a file of sections, see config/config.yaml.")
        _merge(together, content)
    return override(together, values)


def override(config: Mapping, values: Sequence[str]) -> dict[str, Any]:
    """`config` with the `KEY=VALUE` of Snakemake's --config over it, each VALUE read as if it stood in a file.

    Snakemake itself takes every number and truth value inside braces for text: these replace what it made of them.
    """
    changed: dict[str, Any] = {}
    _merge(changed, config)
    for text in values:
        key, _, value = text.partition("=")
        _merge(changed, {key: read_value(f"--config {key}", value)})
    return changed


def read_value(place: str, text: str) -> Any:
    """A value of the command line, in YAML; keys are text as they stand, since Snakemake leaves them so.

    Raises `BrownidError` that begins with `place`, such as "--config seed", for what is no YAML.
    """

    def content(node: yaml.Node | None) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key.value: content(value) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [content(item) for item in node.value]
        return None if node is None else loader.construct_object(node)

    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            check_document(place, node)
        return content(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such day
        raise BrownidError(f"{place}: no YAML: {one_line(error)}.") from error


def _merge(merged: dict[str, Any], content: Mapping) -> None:
    for key, value in content.items():
        if not isinstance(value, Mapping):
            merged[key] = value
            continue
        if not isinstance(merged.get(key), dict):
            merged[key] = {}
        _merge(merged[key], value)


SCHEMA = resources.files("brownid.configuration") / "config.schema.yaml"
# The definitions of the schema that are those of settings classes.
CLASSES: dict[str, tuple[type[Settings], ...]] = {
    "procedural": (ProceduralSettings,),
    "stylegan2": (StyleGAN2GeneratorSettings,),
    "stylegan3": (StyleGAN3GeneratorSettings,),
    "ldm": (LatentDiffusionSettings,),
    "arc2face": (Arc2FaceSettings,),
    "yunet": (YuNetSettings,),
    "mtcnn": (MTCNNSettings,),
    "langevin": (LangevinSettings,),
    "dispersion": (DispersionSettings,),
    "within_class": (WithinClassSettings,),
    "random": (RandomSettings,),
    "reject": (RejectSettings,),
    "repulse": (RepulseSettings,),
    "packing": (PackingSettings,),
    "inversion": (InversionSettings,),
    "conditioning": (ConditioningSettings,),
    "editing": (EditingSettings,),
    "projection": (
        ProjectionSettings,
        ComparisonSettings,
    ),
    "warm_start": (WarmStartSettings,),
    "training_settings": (TrainingSettings,),
    "multipie_capture": (MultipieCapture,),
    "portrait_capture": (PortraitCapture,),
    "people_capture": (PeopleCapture,),
    "benchmark_capture": (BenchmarkCapture,),
}
SHA256 = r"^[0-9a-f]{64}(?!\n)$"  # as the schema has it; in Python, `$` alone matches before a last newline too
TRUTH_VALUES = "YAML reads on, off, yes and no as true and false: put them in quotes"


def load_configuration(config: Mapping, files: bool = True) -> dict[str, Any]:
    """The configuration with every default filled in; raises a `BrownidError` that lists every mistake, one per line.

    `config` is what the YAML files and the command line gave. The files that it names must be there, unless `files` is
    False.
    """
    _check_size(config)
    complete = deepcopy(dict(config))
    _name_onnx(complete)
    _write_dates(complete)
    validator = _defaulting_validator(read_schema())
    errors = sorted(validator.iter_errors(complete), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        raise BrownidError(_join(_sentence(error) for error in errors))
    check_links(complete)
    check_embedding_conditioned(config, complete)
    if files:
        check_files(complete)
    return complete


def _check_size(config: Mapping) -> None:
    """Refuse a configuration whose aliases would be followed for ever, or all but."""
    try:
        check_expansion(config, _parts, "the aliases (*name)")
    except (ValueError, RecursionError) as error:
        raise BrownidError(f"The configuration cannot be used: {error}; write their values out.") from None


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _name_onnx(config: Mapping) -> None:
    """Fill in the family of networks whose weights are ONNX files, which hold the whole network."""
    networks = config.get("networks")
    for entry in networks.values() if isinstance(networks, Mapping) else ():
        if isinstance(entry, dict) and not entry.keys() & {"family", "factory"} and is_named_onnx(entry.get("weights")):
            entry["family"] = ONNX


def _write_dates(config: Mapping) -> None:
    """Make the date of the release text again, which YAML reads as a date."""
    release = config.get("release")
    if isinstance(release, dict) and type(release.get("date")) is date:
        release["date"] = release["date"].isoformat()


def _join(sentences: Iterator[str]) -> str:
    ended = (sentence if sentence.endswith((".", "?")) else f"{sentence}." for sentence in sentences)
    return "The configuration cannot be used:\n  " + "\n  ".join(dict.fromkeys(ended))


@cache
def read_schema() -> dict[str, Any]:
    """The schema of the whole configuration, with the sections of the settings classes."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    for name, classes in CLASSES.items():
        section, own = object_schema(*classes), definitions.get(name, {})  # `own`: keys that the class does not know
        properties = section["properties"] | own.get("properties", {})
        required = section.get("required", []) + own.get("required", [])
        definitions[name] = {**section, **own, "properties": properties, "required": required}
    return schema


def _defaulting_validator(schema: dict) -> Draft202012Validator:
    """A validator that sets missing properties to their defaults before it looks at them."""
    check_properties = Draft202012Validator.VALIDATORS["properties"]

    def properties(validator: Any, subschemas: Mapping[str, Any], instance: Any, parent: Any) -> Iterator[Any]:
        if validator.is_type(instance, "object"):
            for name, subschema in subschemas.items():
                if "default" in subschema:
                    instance.setdefault(name, deepcopy(subschema["default"]))
        yield from check_properties(validator, subschemas, instance, parent)

    strict = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_whole, "number": _is_finite})
    return extend(Draft202012Validator, {"properties": properties}, type_checker=strict)(schema)


def _is_whole(_: object, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)  # JSON Schema would take 2.0, range() does not


def _is_finite(_: object, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sentence(error: ValidationError) -> str:
    place = ".".join(map(str, error.absolute_path)) or "the top level"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [key for key in error.instance if key not in known]
        return " ".join(f"{place}: there is no key {key!r}; {suggestion(key, known)}" for key in unknown)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{place}: the key {' and '.join(map(repr, missing))} is missing"
    if error.validator == "type" and "pattern" in error.schema and not isinstance(error.instance, str):
        subject = "the SHA-256" if error.schema["pattern"] == SHA256 else "the name"
        return f"{place}: {subject} {error.instance!r} is no text; put it in quotes"
    if error.validator == "type" and error.validator_value == "null":
        return f"{place}: this key means nothing with the algorithm of the entry; leave it out"
    if error.validator == "type" and error.instance is None:
        return f"{place}: a value is missing, of type {_either(error.validator_value)}"
    if error.validator == "type":
        return f"{place}: {error.instance!r} is not of type {_either(error.validator_value)}{_number_hint(error)}"
    if error.validator == "enum":
        hint = f" ({TRUTH_VALUES})" if isinstance(error.instance, bool) else ""
        return f"{place}: {error.instance!r} is not one of {_either(error.validator_value)}{hint}"
    if error.validator == "const":
        return f"{place}: {error.instance!r} is not possible here; it must be {error.validator_value!r}"
    if error.validator == "dependentRequired":
        pairs = [(key, needed) for key, others in error.validator_value.items() for needed in others]
        key, needed = next(pair for pair in pairs if pair[0] in error.instance and pair[1] not in error.instance)
        return f"{place}: the key {key!r} means nothing without the key {needed!r}"
    if error.validator == "oneOf":
        return f"{place}: give exactly one of {_either([branch['required'][0] for branch in error.validator_value])}"
    if error.validator == "uniqueItems":
        twice = next(item for number, item in enumerate(error.instance) if item in error.instance[:number])
        return f"{place}: {twice!r} is listed twice; remove one of the two"
    if error.validator == "not" and "required" in error.validator_value:
        return f"{place}: the key {error.validator_value['required'][0]!r} means nothing here; leave it out"
    if error.validator == "not":
        return f"{place}: {error.instance!r} is not possible here"
    if error.validator == "pattern" and error.validator_value == SHA256:
        return f"{place}: {error.instance!r} is no SHA-256, 64 small hexadecimal digits"
    if error.validator == "pattern":
        return f"{place}: the name {error.instance!r} may contain letters, digits, '_' and '-' only"
    return f"{place}: {error.message}"


def _either(values: str | list) -> str:
    return str(values) if isinstance(values, str) else ", ".join(map(str, values))


def _number_hint(error: ValidationError) -> str:
    try:
        value = float(error.instance) if isinstance(error.instance, str) else math.nan
    except ValueError:
        return ""
    if math.isnan(value):
        return ""
    if "integer" in error.validator_value:
        return f" (YAML reads this as text; write {value:.0f})" if abs(value) < 1e15 else ""
    return " (YAML reads this as text; an exponent needs a decimal point and a sign: 1.0e-4, 1.0e+30)"
