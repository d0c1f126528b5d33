"""Tensors are read out of TorchScript archives as data; what is no tensor is refused or not looked at."""

import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from brownid.runtime.errors import BrownidError
from brownid.weights.torch_files import is_torchscript, read_torchscript


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).view(2, 3).T)  # not contiguous
        self.register_buffer("rough", torch.ones(2, dtype=torch.float16))
        self.sizes, self.rates, self.pair, self.word = [1, 2], [0.5], (1, True), "text"

    def forward(self, x):
        return x @ self.weight


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.again = Inner(), Inner()
        self.register_buffer("count", torch.tensor(7))

    def forward(self, x):
        return self.again(self.inner(x)) * self.count


pytestmark = pytest.mark.filterwarnings("ignore")  # TorchScript is no longer recommended for new files


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "network.pt"
    torch.jit.save(torch.jit.script(Outer()), path)
    return path


def rewritten(path, target, change):
    """A copy of an archive, `change` being asked for the content of each entry (None leaves it out)."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for info in source.infolist():
            content = change(info.filename, source.read(info))
            if content is not None:
                copy.writestr(info.filename, content)
    return target


def test_tensors_are_those_of_the_module_by_their_dotted_names(archive):
    found = read_torchscript(archive, lambda name: True)
    expected = torch.jit.load(archive).state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name].float()) for name in expected)
    assert found["inner.rough"].dtype == torch.float32


def test_only_what_is_wanted_is_read(archive, monkeypatch):
    read, whole = [], zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, entry: read.append(entry) or whole(self, entry))
    assert set(read_torchscript(archive, lambda name: name == "count")) == {"count"}
    assert [entry.filename for entry in read if "/data/" in entry.filename] == ["network/data/0"]


def test_the_program_in_the_archive_is_not_looked_at(archive, tmp_path):
    def hostile(name, content):
        return b"raise SystemExit" if "/code/" in name else content

    assert "count" in read_torchscript(rewritten(archive, tmp_path / "a.pt", hostile), lambda name: True)


def test_a_pickle_that_names_code_is_refused_and_not_executed(archive, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path = rewritten(archive, tmp_path / "a.pt", lambda n, c: pickle.dumps(Code(), 2) if n.endswith("/data.pkl") else c)
    with pytest.raises(
        BrownidError, match=r"a\.pt: the file was refused and nothing in it was executed: it names .*mkdir"
    ):
        read_torchscript(path, lambda name: True)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("entry", "change", "words"),
    [
        ("/data/0", lambda content: None, "damaged"),
        ("/data/0", lambda content: content[:-1], "does not hold the numbers"),
        ("/data.pkl", lambda content: content[:40], "damaged"),
        ("/data.pkl", lambda content: b"\x80\x02}r\xff\xff\xff\x7f.", "more memory"),
        ("/data.pkl", lambda content: pickle.dumps({}, 2), "no tree"),
    ],
)
def test_a_damaged_archive_is_refused_by_name(archive, tmp_path, entry, change, words):
    path = rewritten(archive, tmp_path / "a.pt", lambda n, content: change(content) if n.endswith(entry) else content)
    with pytest.raises(BrownidError, match=rf"a\.pt: .*{words}"):
        read_torchscript(path, lambda name: True)


def test_a_state_dict_is_no_archive(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pth")
    (tmp_path / "text").write_text("no")
    assert not is_torchscript(tmp_path / "state.pth") and not is_torchscript(tmp_path / "text")


def module_twice(depth):
    """The pickle of a module whose two attributes are one module, whose two attributes are one module ..."""
    data = b"\x80\x02"
    for number in range(depth + 1):
        place = bytes([number])
        before = b"h" + bytes([max(number - 1, 0)]) + b"s"
        inner = b"X\x01\0\0\0a" + before + b"X\x01\0\0\0b" + before
        data += b"c__torch__\nM\n)\x81}" + (inner if number else b"") + b"bq" + place + b"0"
    return data + b"h" + bytes([depth]) + b"."


def test_modules_named_twice_at_every_depth_are_refused_before_the_walk_ends(archive, tmp_path):
    path = rewritten(archive, tmp_path / "a.pt", lambda n, c: module_twice(18) if n.endswith("/data.pkl") else c)
    with pytest.raises(BrownidError, match=r"a\.pt: .*modules hold more than 100000"):
        read_torchscript(path, lambda name: True)


def test_tuples_too_large_to_hash_are_refused(archive, tmp_path):
    deep = b"\x80\x02})" + b"\x85" * 5000 + b"Ns."
    path = rewritten(archive, tmp_path / "a.pt", lambda n, c: deep if n.endswith("/data.pkl") else c)
    with pytest.raises(BrownidError, match="a key of more than 100 parts"):
        read_torchscript(path, lambda name: True)
