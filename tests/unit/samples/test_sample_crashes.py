"""What stood at a path stays until its successor is whole: after an exception, a kill and a full disk."""

import os
import signal
import subprocess
import sys

import pytest

from brownid.samples.collection import SampleCollection
from brownid.samples.columnar import appending

BEGIN = """
import numpy as np
from brownid import SampleCollection
made = SampleCollection(latents=np.ones((500, 64), "f4"), embeddings=None, identities=np.arange(500),
                        labels=["reference"] * 500, generator="world", recognition="")
"""
WRITE_FOR_EVER = """
import sys
from brownid.samples.columnar import appending
with appending(sys.argv[1]) as writer:
    for number in range(10**9):
        writer.append(made)
        print(number, flush=True)
"""
FILL_THE_DISK = """
import resource, signal, sys
from brownid.runtime.errors import BrownidError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
for save in (made.save, made.save_published):
    try:
        save(sys.argv[1])
    except BrownidError as error:
        print(error)
"""


def begin(code, path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", BEGIN + code, str(path)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def saved(collection, tmp_path):
    path = tmp_path / "samples.h5"
    collection.save(path)
    return path


def test_an_exception_in_the_middle_of_writing_leaves_the_old_file_alone(collection, saved):
    before = saved.read_bytes()
    with pytest.raises(ZeroDivisionError), appending(saved) as writer:
        writer.append(collection)
        raise ZeroDivisionError
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["samples.h5"]


def test_a_kill_in_the_middle_of_writing_leaves_the_old_file(collection, saved, assert_same):
    before = saved.read_bytes()
    with begin(WRITE_FOR_EVER, saved) as process:
        while process.stdout.readline() != "2\n":
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGKILL)
    assert saved.read_bytes() == before
    assert any(path.stat().st_size > 3 * 500 * 64 * 4 for path in saved.parent.glob(".*.partial"))
    collection.select([0]).save(saved)
    assert_same(SampleCollection.load(saved), collection.select([0]))
    assert [path.name for path in saved.parent.iterdir()] == ["samples.h5"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(saved):
    before = saved.read_bytes()
    process = begin(FILL_THE_DISK, saved)
    told, errors = process.communicate()
    assert process.returncode == 0 and not errors, errors
    assert told.splitlines() == [f"{saved}: File too large; make room there, then run again."] * 2
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["samples.h5"]
