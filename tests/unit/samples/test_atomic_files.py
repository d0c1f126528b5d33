"""Temporary files: one for each call, and those of killed processes are removed, but nobody else's."""

import os
import subprocess
import sys
import threading

import pytest

from brownid.files import atomic_path

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
