"""A setting is stated once: its constructor refuses what its schema refuses."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
from jsonschema import Draft202012Validator

from brownid.configuration.loading import CLASSES, read_schema
from brownid.runtime.errors import BrownidError
from brownid.runtime.settings import ABSENT, REQUIRED, Settings, object_schema, setting, settings_of


@dataclass(frozen=True)
class Part(Settings):
    """A section inside another."""

    size: int = setting(4, "A size.", minimum=1)


@dataclass(frozen=True)
class Example(Settings):
    """One of each kind.

    Further lines are not part of the schema.
    """

    count: int = setting(REQUIRED, "A number of things.", minimum=1, maximum=9)
    share: float = setting(0.5, "A share.", above=0, below=1)
    angle: float | None = setting(None, "An angle.", unit="radians", minimum=0)
    kind: str = setting("a", "A kind.", choices=("a", "b"))
    even: int = setting(2, "An even number.", multiple_of=2)
    shift: float = setting(1.0, "A shift.", nonzero=True)
    flag: bool = setting(False, "Whether it is so.")
    name: str = setting("x", "A name.")
    file: str = setting(ABSENT, "A file.")
    part: Part = setting(ABSENT, "A section.")
    numbers: tuple[int, ...] = setting((1, 2), "Numbers.", minimum=1)
    own: float = 3.0  # no setting of the configuration


REFUSED = [
    ({"count": 0}, "Example.count is 0, but must be a whole number, at least 1 and at most 9."),
    ({"count": 2.5}, "count is 2.5"),
    ({"count": True}, "count is True"),
    ({"share": 1}, "share is 1, but must be a number, above 0 and below 1."),
    ({"share": "1e-4"}, "share is '1e-4', .* write 1.0e-4"),
    ({"angle": -1.0}, "angle is -1.0, but must be a number, at least 0, or None."),
    ({"kind": "c"}, "kind is 'c', but must be one of a, b."),
    ({"even": 3}, "even is 3, but must be a whole number, a multiple of 2."),
    ({"shift": 0}, "shift is 0, but must be a number, other than 0."),
    ({"flag": 1}, "flag is 1, but must be true or false."),
    ({"name": None}, "name is None, but must be a text."),
    ({"file": 3}, "file is 3, but must be a text."),
    ({"part": 3}, "part is 3, but must be a section."),
    ({"part": {"size": 0}}, "Part.size is 0"),
    ({"part": {"sizes": 3}}, "part: there is no setting 'sizes'; did you mean 'size'?"),
    ({"numbers": [1, 0]}, r"numbers is \(1, 0\), but must be a list, each item a whole number, at least 1."),
]


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED)
def test_constructor_and_schema_refuse_the_same_values(wrong, sentence):
    given = {"count": 3} | wrong
    with pytest.raises(BrownidError, match=sentence):
        Example(**given)
    assert not Draft202012Validator(object_schema(Example)).is_valid(given)


def test_values_within_the_bounds_are_taken_and_lists_become_tuples():
    given = {"count": 9, "share": 0.9, "angle": 1, "even": 0, "shift": -1, "numbers": [3]}
    assert Draft202012Validator(object_schema(Example)).is_valid(given)
    assert Example(**given).numbers == (3,) and Example(3).file is None
    assert Example(3, part={"size": 5}).part == Part(5)


def test_the_schema_has_types_defaults_units_and_sentences():
    schema = object_schema(Example)
    assert schema["description"] == "One of each kind." and schema["required"] == ["count"]
    assert schema["properties"]["angle"] == {
        **{"type": ["number", "null"], "minimum": 0, "default": None, "description": "An angle, in radians."}
    }
    assert schema["properties"]["kind"] == {"enum": ["a", "b"], "default": "a", "description": "A kind."}
    assert schema["properties"]["numbers"]["default"] == [1, 2] and "own" not in schema["properties"]
    assert "default" not in schema["properties"]["file"] and schema["properties"]["part"]["properties"]["size"]


@pytest.mark.parametrize("name", CLASSES)
def test_the_defaults_of_a_section_fit_its_own_schema(name):
    section = read_schema()["$defs"][name]
    defaults = {key: entry["default"] for key, entry in section["properties"].items() if "default" in entry}
    problems = {each.validator for each in Draft202012Validator(section).iter_errors(defaults)}
    assert problems <= {"required", "oneOf"}
    stated = [key for settings in CLASSES[name] for key in settings_of(settings)]
    assert all(section["properties"][key]["description"].endswith(".") for key in stated)


def test_the_schema_is_built_without_torch():
    code = "import sys, brownid.configuration.loading as l; l.read_schema(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
