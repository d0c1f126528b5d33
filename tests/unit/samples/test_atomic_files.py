"""Temporary files: one for each call, on the disk before they count, removed when their process was killed."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from brownid.covariates.features import load_perceptual_features
from brownid.covariates.warm_start import WarmStart
from brownid.recognition.loading import load_backbone
from brownid.runtime import files
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.verification.bins import read_bin
from brownid.verification.pairs import read_pairs
from brownid.weights.generator_files import read_generator_file
from brownid.weights.state_dict import read_weights

MANY = 8


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "samples.h5"
    path.write_text("old")
    return path


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def left_by(target):
    """A function that leaves what a killed process of this number would leave beside the target."""

    def leave(process, **replaced):
        with atomic_path(target) as temporary:
            temporary.write_text("old")
            host, number = temporary.name.split(f".{os.getpid()}.")
        for old, new in replaced.items():
            host = host.replace(old, new)
        path = target.with_name(f"{host}.{process}.{number}")
        path.write_text("half")
        return path

    return leave


def replace(target):
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_what_dead_processes_left_is_removed_be_it_file_or_folder(left_by, target, dead):
    left_by(dead)
    folder = left_by(dead)
    folder.unlink()
    (folder / "images").mkdir(parents=True)
    replace(target)
    assert list(target.parent.iterdir()) == [target]


def test_what_an_earlier_process_of_our_number_left_is_removed(left_by, target):
    left = left_by(os.getpid())
    replace(target)
    assert not left.exists()


def test_what_living_processes_write_stays(left_by, target):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = left_by(process.pid)
        replace(target)
        assert left.read_text() == "half"


def test_what_another_user_writes_stays(left_by, target, dead, monkeypatch):
    left = left_by(dead)

    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    replace(target)
    assert left.exists()


def test_what_belongs_to_other_hosts_or_files_stays(left_by, target, dead):
    host = os.uname().nodename
    others = [left_by(dead, **{host: f"{host}2"}), left_by(dead, samples="more.samples"), left_by(dead, h5="hd5")]
    replace(target)
    assert all(path.exists() for path in others)


def test_threads_that_write_one_file_do_not_disturb_each_other(target):
    folder = target.parent
    names = (target, folder / ".." / folder.name / target.name)
    together, faults = threading.Barrier(MANY), []

    def write(number):
        try:
            with atomic_path(names[number % 2]) as temporary:
                together.wait(10)
                temporary.write_text(str(number) * 1000)
                together.wait(10)
        except Exception as error:  # threads keep theirs to themselves
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert target.read_text() in {str(number) * 1000 for number in range(MANY)}
    assert list(target.parent.iterdir()) == [target]


def test_calls_within_one_another_have_files_of_their_own(target):
    with atomic_path(target) as outer:
        outer.write_text("outer")
        replace(target)
        assert outer.read_text() == "outer"
    assert target.read_text() == "outer"


@pytest.fixture
def happened(monkeypatch):
    """What is synced and renamed, in order: "file", "folder", "rename"."""
    order, sync, rename = [], os.fsync, os.replace

    def synced(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(*paths):
        order.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return order


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_the_call_ends(target, happened):
    replace(target)
    assert happened == ["file", "rename", "folder"]


def test_new_folders_on_the_way_are_on_the_disk_too(tmp_path, happened):
    replace(tmp_path / "a" / "b" / "c.txt")
    assert happened == ["file", "rename", *["folder"] * 3]


def test_a_folder_is_on_the_disk_with_all_that_is_in_it(tmp_path, happened):
    with atomic_path(tmp_path / "release") as folder:
        (folder / "images").mkdir(parents=True)
        for name in ("README.md", "images/0.png", "images/1.png"):
            (folder / name).write_text(name)
        (folder / "link").symlink_to("/dev/zero")
    assert happened == ["file"] * 3 + ["folder"] * 2 + ["rename", "folder"]


@pytest.mark.parametrize("refused", [False, True])
def test_a_folder_is_moved_aside_whole_before_another_takes_its_place(tmp_path, monkeypatch, refused):
    path, rename, seen = tmp_path / "release", os.replace, []
    path.mkdir()
    (path / "old").touch()

    def renamed(source, target):
        seen.extend(sorted(found.relative_to(tmp_path).name for found in tmp_path.rglob("*") if found.is_file()))
        if refused:
            raise OSError(errno.EIO, "x")
        rename(source, target)

    monkeypatch.setattr(os, "replace", renamed)
    with pytest.raises(BrownidError) if refused else contextlib.nullcontext(), atomic_path(path) as folder:
        folder.mkdir()
        (folder / "new").touch()
    assert seen == ["new", "old"] and not (refused and (path / "new").exists())
    assert [found.name for found in path.iterdir()] == ["old" if refused else "new"] and list(tmp_path.iterdir()) == [
        path
    ]


def failing_sync(monkeypatch, number, kind):
    sync = os.fsync

    def fail(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (kind == "folder"):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_file_systems_that_cannot_sync_are_written_all_the_same(target, monkeypatch, kind, number):
    failing_sync(monkeypatch, number, kind)
    replace(target)


def test_folders_that_may_be_written_but_not_opened_are_written(target, monkeypatch):
    failing_sync(monkeypatch, errno.EACCES, "folder")
    replace(target)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "No space left on device; make room there, then run again"),
        (errno.EDQUOT, "Disk quota exceeded; make room there, then run again"),
        (errno.EIO, "Input/output error; its disk or network file system fails: ask who looks after it"),
        (errno.EROFS, "Read-only file system; see to its permissions, or choose another place"),
    ],
)
@pytest.mark.parametrize("when", ["in the block", "when synced", "when renamed", "when its folder is made"])
def test_what_the_disk_refuses_is_a_sentence_with_the_path(target, monkeypatch, number, sentence, when):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    path = target
    if when == "when synced":
        failing_sync(monkeypatch, number, "file")
    elif when == "when renamed":
        monkeypatch.setattr(os, "replace", fail)
    elif when == "when its folder is made":
        path = target.parent / "new" / "samples.h5"
        monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(BrownidError) as raised, atomic_path(path) as temporary:
        temporary.write_text("new")
        if when == "in the block":
            fail()
    assert str(raised.value).startswith(f"{path}: {sentence}")
    assert target.read_text() == "old" and list(target.parent.iterdir()) == [target]


def test_an_error_that_names_the_temporary_file_is_told_of_the_file_itself(target):
    with pytest.raises(BrownidError, match=rf"^{target}: Permission denied"), atomic_path(target) as temporary:
        raise PermissionError(errno.EACCES, "x", str(temporary / "images"))


def test_an_error_of_a_file_in_a_temporary_folder_is_told_of_its_place_in_the_folder(tmp_path):
    path = tmp_path / "release"
    with pytest.raises(BrownidError) as raised, atomic_path(path) as folder, atomic_path(folder / "a" / "samples.h5"):
        raise OSError(errno.ENOSPC, "x")
    assert str(raised.value).startswith(f"{path}/a/samples.h5: No space left on device")


def test_an_error_that_names_another_file_is_told_of_that(target):
    with pytest.raises(BrownidError, match=r"^/data/images: Permission denied"), atomic_path(target):
        raise PermissionError(errno.EACCES, "x", "/data/images")


@pytest.mark.parametrize("path", ["samples.h5/new", "samples.h5/new/file", "folder"])
def test_something_else_in_the_way_is_a_sentence(target, path):
    (target.parent / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(BrownidError, match="something else is in the way: move it, or choose another place"):
        replace(target.parent / path)


def test_a_name_that_is_too_long_is_a_sentence(tmp_path):
    with pytest.raises(BrownidError, match="File name too long; choose a shorter name"):
        replace(tmp_path / ("a" * 250))


def test_a_temporary_file_that_cannot_be_removed_hides_no_error(target, monkeypatch):
    def fail(path):
        raise OSError(errno.EROFS, "x")

    with pytest.raises(ZeroDivisionError), atomic_path(target):
        monkeypatch.setattr(files, "_remove", fail)
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "read",
    [
        load_backbone,
        read_weights,
        read_generator_file,
        load_perceptual_features,
        WarmStart.load,
        read_bin,
        lambda path: read_pairs(path, path.parent),
    ],
)
def test_a_pipe_is_refused_where_a_file_is_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BrownidError, match="pipe: this is no regular file"):
        read(tmp_path / "pipe")
