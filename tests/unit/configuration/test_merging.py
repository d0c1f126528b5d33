"""Values of the command line: read as a configuration file would be, over what stands there."""

import pytest

from brownid.configuration.loading import merged, override
from brownid.runtime.errors import BrownidError

CONFIG = {"training": {"a": {"settings": {"epochs": None, "scales": [1.0, 2.0]}}}, "seed": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.7", 0.7),
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("-.5e+2", -50.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("'3'", "3"),
        ("iresnet50", "iresnet50"),
        ("[1, 0.5]", [1, 0.5]),
        ("{}", {}),
    ],
)
def test_a_value_inside_braces_is_read_as_in_a_file(text, value):
    changed = override(CONFIG, [f"training={{a: {{settings: {{epochs: {text}}}}}}}"])
    read = changed["training"]["a"]["settings"]["epochs"]
    assert read == value and type(read) is type(value)


def test_what_a_value_does_not_name_stays():
    changed = override(CONFIG, ["training={a: {settings: {epochs: 3}}, b: {family: slim}}", "seed=2"])
    assert changed == {
        "training": {"a": {"settings": {"epochs": 3, "scales": [1.0, 2.0]}}, "b": {"family": "slim"}},
        "seed": 2,
    }
    assert CONFIG["training"]["a"]["settings"]["epochs"] is None  # the original is not touched


def test_the_text_that_snakemake_made_of_a_number_is_replaced():
    snakemake = {"training": {"a": {"settings": {"epochs": "3", "scales": ["0.1"]}}}}
    changed = override(snakemake, ["training={a: {settings: {epochs: 3, scales: [0.1]}}}"])
    assert changed["training"]["a"]["settings"] == {"epochs": 3, "scales": [0.1]}


def test_names_of_digits_stay_text_as_snakemake_leaves_them():
    assert override({}, ["training={10: {seed: 1}}"]) == {"training": {"10": {"seed": 1}}}


def test_the_last_of_several_values_holds_and_an_empty_one_is_none():
    assert override(CONFIG, ["seed=2", "seed=3"])["seed"] == 3
    assert override(CONFIG, ["seed="])["seed"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training={a", "--config training: no YAML"),
        ("training={a: 1, a: 2}", "--config training, line 1: the key 'a' stands in line 1 already"),
        ("release={date: 2026-13-45}", "--config release: no YAML"),
    ],
)
def test_a_value_that_cannot_be_read_is_one_sentence(text, message):
    with pytest.raises(BrownidError, match=message):
        override(CONFIG, [text])


def test_values_stand_over_all_files(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).write_text(f"seed: {seed}\n{name}: {{x: 1}}\n")
    assert merged([tmp_path / "a", tmp_path / "b"], ["b={y: 2}"]) == {"seed": 2, "a": {"x": 1}, "b": {"x": 1, "y": 2}}


def test_a_section_that_holds_itself_is_one_sentence(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &a\n  b: {c: *a}\n")
    with pytest.raises(BrownidError, match=r"a\.yaml: no YAML"):
        merged([tmp_path / "a.yaml"])
