"""Settings that are stated once: a field of a dataclass has its default, one sentence, unit and bounds.

From there come the checks of the constructor, the schema of the configuration and the help of the command line.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_origin

from brownid.runtime.errors import BrownidError, suggestion

REQUIRED = MISSING  # as the default of a setting that must be given
ABSENT = object()  # as the default of a setting that is None unless it is given
PRECISIONS = ("float32", "bfloat16", "auto")

_RULES = "rules"  # in the metadata of a field
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "object": "a section",
}
_WORDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_WORDS |= {"multipleOf": "a multiple of"}


def setting(
    default: Any,
    sentence: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple_of: int | None = None,
    choices: Sequence[Any] | None = None,
    nonzero: bool = False,
    schema: Mapping[str, Any] | None = None,
) -> Any:
    """A field of a `Settings` class; bounds and choices are those of each item where the field is a tuple.

    `schema` replaces what the type and the bounds say; the class checks the value itself then.
    """
    rules = {
        "minimum": minimum,
        "exclusiveMinimum": above,
        "maximum": maximum,
        "exclusiveMaximum": below,
        "multipleOf": multiple_of,
        "enum": None if choices is None else list(choices),
        "not": {"const": 0} if nonzero else None,
        "schema": schema,
        "absent": True if default is ABSENT else None,
        "description": f"{sentence.removesuffix('.')}, in {unit}." if unit else sentence,
    }
    default = None if default is ABSENT else default
    return field(default=default, metadata={_RULES: {name: rule for name, rule in rules.items() if rule is not None}})


@dataclass(frozen=True)
class Settings:
    """Settings whose constructor refuses a value of the wrong type or out of bounds; it makes tuples of lists."""

    def __post_init__(self) -> None:
        for each in settings_of(type(self)).values():
            value = _converted(getattr(self, each.name), each)
            object.__setattr__(self, each.name, value)
            stated, rules = each.metadata[_RULES], property_schema(each)
            checked = "schema" not in stated and not (value is None and "absent" in stated)
            if checked and not _fits(value, rules):
                hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if isinstance(value, str) and "type" in rules else ""
                raise BrownidError(
                    f"{type(self).__name__}.{each.name} is {value!r}, but must be {_requirement(rules)}{hint}."
                )

    @classmethod
    def of(cls, given: Mapping[str, Any], place: str) -> Self:
        """The settings in a section; a `BrownidError` that begins with `place` names one that does not exist."""
        unknown = [name for name in given if name not in settings_of(cls)]
        if unknown:
            hint = suggestion(unknown[0], settings_of(cls))
            raise BrownidError(f"{place}: there is no setting {unknown[0]!r}; {hint}")
        return cls(**given)

    @classmethod
    def within(cls, section: Mapping[str, Any]) -> Self:
        """The settings of this class in a section that has those of others too."""
        return cls(**{name: value for name, value in section.items() if name in settings_of(cls)})


def settings_of(settings: type) -> dict[str, Field]:
    """The fields of a settings class that are made by `setting`, by name."""
    return {each.name: each for each in fields(settings) if _RULES in each.metadata}


def object_schema(*classes: type) -> dict[str, Any]:
    """The JSON schema of a section of the configuration that holds the settings of classes, described by the first."""
    found = {name: each for settings in classes for name, each in settings_of(settings).items()}
    required = [name for name, each in found.items() if each.default is REQUIRED]
    return {
        "description": (classes[0].__doc__ or "").partition("\n")[0],
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {name: property_schema(each) for name, each in found.items()},
    }


def property_schema(each: Field) -> dict[str, Any]:
    """The JSON schema of one setting: its type, bounds, default and sentence."""
    rules = dict(each.metadata[_RULES])
    description, schema, absent = rules.pop("description"), rules.pop("schema", None), rules.pop("absent", False)
    kinds = get_args(each.type) if isinstance(each.type, UnionType) else (each.type,)
    optional, kind = NoneType in kinds, next(kind for kind in kinds if kind is not NoneType)
    if schema is not None:
        rules = dict(schema)
    elif _is_section(kind):
        rules = object_schema(kind)
    elif get_origin(kind) is tuple:
        rules = {"type": "array", "items": _of_type(get_args(kind)[0], rules, optional=False)}
    else:
        rules = _of_type(kind, rules, optional)
    default = list(each.default) if isinstance(each.default, tuple) else each.default
    return rules | ({} if absent or default is REQUIRED else {"default": default}) | {"description": description}


def _converted(value: Any, each: Field) -> Any:
    """A list as the tuple, and a mapping as the section, that the field of a settings class has."""
    if isinstance(value, list) and get_origin(each.type) is tuple:
        return tuple(value)
    section: Any = each.type
    return section.of(value, each.name) if isinstance(value, Mapping) and _is_section(section) else value


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


def _of_type(kind: type, rules: Mapping[str, Any], optional: bool) -> dict[str, Any]:
    if "enum" in rules:
        return {**rules, "enum": rules["enum"] + [None] * optional}
    name = _TYPES[kind]
    return {"type": [name, "null"] if optional else name, **rules}


def _fits(value: Any, rules: Mapping[str, Any]) -> bool:
    if "enum" in rules:
        return value in rules["enum"] and not isinstance(value, bool)
    kinds = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
    if value is None:
        return "null" in kinds
    if kinds[0] == "object":
        return isinstance(value, Settings)
    if kinds[0] == "array":
        return isinstance(value, tuple) and all(_fits(item, rules["items"]) for item in value)
    if kinds[0] in ("boolean", "string"):
        return isinstance(value, bool if kinds[0] == "boolean" else str)
    wanted = Integral if kinds[0] == "integer" else Real
    return (
        isinstance(value, wanted)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= rules.get("minimum", value)
        and value <= rules.get("maximum", value)
        and not value <= rules.get("exclusiveMinimum", -math.inf)
        and not value >= rules.get("exclusiveMaximum", math.inf)
        and not value % rules.get("multipleOf", value or 1)
        and not ("not" in rules and value == 0)
    )


def _requirement(rules: Mapping[str, Any]) -> str:
    """Requirement on a value, in words."""
    if "enum" in rules:
        return f"one of {', '.join(map(str, rules['enum']))}"
    if rules["type"] == "array":
        return f"a list, each item {_requirement(rules['items'])}"
    kinds = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
    bounds = [f"{words} {rules[rule]:g}" for rule, words in _WORDS.items() if rule in rules]
    bounds += ["other than 0"] if "not" in rules else []
    words = ", ".join([_KINDS[kinds[0]], *([" and ".join(bounds)] if bounds else [])])
    return f"{words}, or None" if "null" in kinds else words
