"""JSON and YAML files from anywhere are read, or refused in a sentence, whatever stands in them."""

import os

import pytest

from brownid.configuration.loading import load_configuration
from brownid.runtime import text as textfiles
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_checked_json, read_json, read_yaml, write_checked_json

LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))])
MERGES = "\n".join(["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60))])
JSON = {
    '{"a": 1, "b": {"a": 2}, "a": 3}': "the key 'a' stands twice",
    '{"a": NaN}': "NaN is no number in JSON",
    '{"a": -Infinity}': "-Infinity is no number in JSON",
    '{"a": 1e999}': "the number 1e999 is too large",
    '{"a": ' + "9" * 5000 + "}": "Exceeds the limit",
    "[" * 100_000: "it is nested too deeply",
    '{"a": 1} and more': "Extra data",
    "": "Expecting value",
    b'{"a": "\xff"}': "no text in UTF-8: 'utf-8' codec can't decode byte 0xff in position 7",
}
YAML = {
    LAUGHS: "its aliases stand for more than 1000000 values",
    MERGES: "its aliases stand for more than 1000000 values",
    "a: &a {b: *a}": "its aliases make a value part of itself",
    "a: {<<: {x: 1}}\nb: {c: 1, d: 2, c: 3}": "line 2: the key 'c' stands in line 2 already",
    "a: " + "9" * 5000: "line 1: a number of 5000 characters",
    "a: " + "1:" * 5000 + "1": "line 1: a number of 10001 characters",
    "a: 2001-99-99": "month must be in 1..12",
    "[" * 100_000: "it is nested too deeply",
    "a: [": "no YAML that can be read",
    "a: 1\n--- {}": "expected a single document",
    "!!python/object/apply:os.system [ls]": "could not determine a constructor",
    "{[1]: 2}": "found unhashable key",
    b"a: \xff": "no text in UTF-8",
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", JSON)
def test_odd_json_is_a_sentence(tmp_path, content):
    with pytest.raises(BrownidError) as raised:
        read_json(write(tmp_path / "a.json", content))
    assert str(raised.value).startswith(f"{tmp_path}/a.json: ") and JSON[content] in str(raised.value)


@pytest.mark.parametrize("content", YAML)
def test_odd_yaml_is_a_sentence(tmp_path, content):
    with pytest.raises(BrownidError) as raised:
        read_yaml(write(tmp_path / "a.yml", content))
    assert str(raised.value).startswith(f"{tmp_path}/a.yml") and YAML[content] in str(raised.value)


def test_ordinary_files_are_read_with_byte_order_mark_aliases_and_merges(tmp_path):
    assert read_json(write(tmp_path / "a.json", b'\xef\xbb\xbf{"a": [1, 2.5, null]}')) == {"a": [1, 2.5, None]}
    text = "base: &base {x: 1, y: .inf}\nother: {<<: *base, x: 2}\nlist: [*base, *base]\n1: a\n'1': b\n"
    read = read_yaml(write(tmp_path / "a.yml", text))
    base = {"x": 1, "y": float("inf")}
    assert read == {"base": base, "other": {**base, "x": 2}, "list": [base, base], 1: "a", "1": "b"}
    assert read_yaml(write(tmp_path / "a.yml", "# nothing")) is None


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_what_is_no_file_or_too_large_is_refused(tmp_path, read, monkeypatch):
    with pytest.raises(BrownidError, match="absent: cannot read the file: No such file"):
        read(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(BrownidError, match=f"{path}: this is no regular file"):
            read(path)
    monkeypatch.setattr(textfiles, "LARGEST_JSON", 3)
    monkeypatch.setattr(textfiles, "LARGEST_YAML", 3)
    with pytest.raises(BrownidError, match="the file has more than 3 bytes"):
        read(write(tmp_path / "a", "[1, 2]"))


def test_a_configuration_whose_aliases_explode_or_refer_to_themselves_is_refused():
    bomb, cycle = [], {}
    for _ in range(60):
        bomb = [bomb, bomb]
    cycle["a"] = cycle
    for value, sentence in ((bomb, "stand for more than"), (cycle, "make a value part of itself")):
        with pytest.raises(BrownidError, match=rf"the aliases \(\*name\) {sentence}"):
            load_configuration({"references": value})


def test_checked_json_comes_back_and_a_changed_digit_is_noticed(tmp_path):
    path = tmp_path / "scores.json"
    write_checked_json(path, {"b": [0.1, (1, 2)], "a": {10: "x", 2: None}})
    assert read_checked_json(path) == {"a": {"10": "x", "2": None}, "b": [0.1, [1, 2]]}
    whole = path.read_text()
    path.write_text(whole.replace("0.1", "0.3"))
    with pytest.raises(BrownidError, match=r"scores\.json: damaged: its content does not match its checksum; make it"):
        read_checked_json(path)
    path.write_text(whole.replace('"sha256"', '"sha356"'))
    with pytest.raises(BrownidError, match=r"scores\.json: damaged"):
        read_checked_json(path)
    path.write_text('{"a": 1}')  # of a version without a checksum
    assert read_checked_json(path) == {"a": 1}
    path.write_text("[1]")
    with pytest.raises(BrownidError, match="not a JSON mapping, but a list"):
        read_checked_json(path)
