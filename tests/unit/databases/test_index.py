"""The database index: what is written is read back, and nothing else is taken for an index."""

import resource
import shutil
import sqlite3
import subprocess
import sys

import pytest

from brownid.databases.index import DatabaseIndex, Sample
from brownid.runtime.errors import BrownidError

SAMPLES = [
    Sample("a", "one/a.png", 1, {"camera": "05_1", "flash": 7}),
    Sample("b", "one/b.png", 1, {"camera": "05_0", "flash": 7, "angle": 15.0}),
    Sample("c", "two/c.png", 2, {"camera": "05_1", "flash": 1}),
]
PROTOCOLS = {"P": {"train": ["a", "b"], "dev": ["c"]}, "U": {"train": ["c"], "eval": []}}


@pytest.fixture
def index(tmp_path):
    DatabaseIndex.create(tmp_path / "index.sqlite", SAMPLES, PROTOCOLS)
    with DatabaseIndex.open(tmp_path / "index.sqlite") as opened:
        yield opened


def keys(samples):
    return [sample.key for sample in samples]


def test_samples_come_back_as_they_were_written(index):
    assert index.samples() == SAMPLES


def test_groups_belong_to_their_protocol(index):
    assert keys(index.samples("train")) == ["a", "b", "c"]
    assert keys(index.samples("train", "P")) == ["a", "b"]
    assert keys(index.samples(protocol="U")) == ["c"]
    assert index.samples("eval", "U") == []
    assert index.groups("U") == ["train", "eval"]
    assert index.groups() == ["train", "dev", "eval"]
    assert index.protocols() == ["P", "U"]


def test_attributes_select_by_value_or_by_several_values(index):
    assert keys(index.samples(camera="05_1")) == ["a", "c"]
    assert keys(index.samples(camera="05_1", flash=7)) == ["a"]
    assert keys(index.samples(flash=[1, 7])) == ["a", "b", "c"]
    assert keys(index.samples(angle=15.0)) == ["b"]
    assert index.meta_types() == {"camera": "str", "flash": "int", "angle": "float"}


@pytest.mark.parametrize("query", [{"protocol": "Q"}, {"group": "world"}, {"group": "dev", "protocol": "U"}, {"x": 1}])
def test_an_unknown_name_is_refused_with_the_known_ones(index, query):
    with pytest.raises(BrownidError, match=r"has no .*; it has: "):
        index.samples(**query)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        DatabaseIndex.create(tmp_path / name, SAMPLES, PROTOCOLS)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_an_index_is_opened_for_reading_only(index):
    with pytest.raises(sqlite3.OperationalError):
        index._connection.execute("DELETE FROM samples")


def test_a_path_with_special_characters_is_opened(tmp_path):
    path = tmp_path / "50% of all? #1.sqlite"
    DatabaseIndex.create(path, SAMPLES, PROTOCOLS)
    with DatabaseIndex.open(path) as index:
        assert len(index.samples()) == 3


def test_a_published_index_file_is_read(tmp_path):
    """The columns as SQLAlchemy writes them for the authors' models: an id everywhere, a value column a type."""
    path = tmp_path / "published.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE samples (id INTEGER NOT NULL, "key" VARCHAR NOT NULL, path VARCHAR NOT NULL,
            identity INTEGER NOT NULL, PRIMARY KEY (id), UNIQUE ("key"));
        CREATE TABLE meta_data_types (id INTEGER NOT NULL, name VARCHAR NOT NULL, type VARCHAR(5), PRIMARY KEY (id));
        CREATE TABLE protocols (id INTEGER NOT NULL, name VARCHAR NOT NULL, PRIMARY KEY (id), UNIQUE (name));
        CREATE TABLE meta_data (id INTEGER NOT NULL, value_str VARCHAR, value_int INTEGER, value_float FLOAT,
            sample_id INTEGER NOT NULL, type_id INTEGER NOT NULL, PRIMARY KEY (id));
        CREATE TABLE groups (id INTEGER NOT NULL, name VARCHAR NOT NULL, protocol_id INTEGER NOT NULL);
        CREATE TABLE groups_samples (group_id INTEGER NOT NULL, sample_id INTEGER NOT NULL);
        INSERT INTO samples VALUES (4, 'k', 'p/k.png', 12);
        INSERT INTO meta_data_types VALUES (1, 'camera', 'str');
        INSERT INTO meta_data VALUES (1, '05_1', NULL, NULL, 4, 1);
        INSERT INTO protocols VALUES (3, 'U');
        INSERT INTO groups VALUES (5, 'train', 3);
        INSERT INTO groups_samples VALUES (5, 4);
        """
    )
    connection.commit()
    connection.close()
    with DatabaseIndex.open(path) as index:
        assert index.samples("train", "U", camera="05_1") == [Sample("k", "p/k.png", 12, {"camera": "05_1"})]


def test_what_is_no_index_is_refused_in_a_sentence_with_its_path(tmp_path):
    (tmp_path / "text").write_text("not a database, and long enough to be read as a header of one hundred bytes" * 3)
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE samples (id INTEGER)")
    DatabaseIndex.create(tmp_path / "whole", SAMPLES, PROTOCOLS)
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:5000])
    with pytest.raises(BrownidError, match=r"text is not a database index"):
        DatabaseIndex.open(tmp_path / "text")
    with pytest.raises(BrownidError, match=r"other is an SQLite file but not .* 'meta_data'"):
        DatabaseIndex.open(tmp_path / "other")
    with pytest.raises(BrownidError, match=r"no database index at .*absent"):
        DatabaseIndex.open(tmp_path / "absent")
    with pytest.raises(BrownidError, match=r"cut (is not a database index|is damaged)"):
        DatabaseIndex.open(tmp_path / "cut").samples()


@pytest.mark.parametrize(
    ("samples", "protocols", "message"),
    [
        ([Sample("a", "x", 1), Sample("a", "y", 1)], {}, "two samples with the key 'a'"),
        ([Sample("a", "x", 1)], {"P": {"train": ["b"]}}, "'b' in group 'train' of protocol 'P'"),
        ([Sample("a", "x", 1, {"f": 1}), Sample("b", "y", 1, {"f": "one"})], {}, "f = 'one'"),
        ([Sample("a", "x", 1, {"f": [1]})], {}, r"f = \[1\]"),
    ],
)
def test_a_contradiction_is_refused_and_leaves_no_file(tmp_path, samples, protocols, message):
    with pytest.raises(BrownidError, match=message):
        DatabaseIndex.create(tmp_path / "index.sqlite", samples, protocols)
    assert list(tmp_path.iterdir()) == []


def test_groups_of_all_samples_and_places_in_the_order_of_the_index(tmp_path):
    DatabaseIndex.create(tmp_path / "index", iter(SAMPLES), {"P": {"train": None, "dev": ["c", "c"]}})
    with DatabaseIndex.open(tmp_path / "index") as index:
        assert index.samples("train") == SAMPLES and keys(index.samples("dev")) == ["c"]
        assert index.samples_at(range(1, 3)) == SAMPLES[1:] and index.samples_at(range(3, 3)) == []
        assert index.counts() == (3, 2)


def test_a_full_disk_is_one_sentence_that_names_the_index(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, limits[1]))
    try:
        with pytest.raises(BrownidError, match=rf"{tmp_path / 'index'} cannot be written .*room"):
            DatabaseIndex.create(tmp_path / "index", (Sample(f"{n:0200}", "p", n) for n in range(1000)), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_sqlite_cannot_hold_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="too large"):
        DatabaseIndex.create(tmp_path / "index", [Sample("a", "p", 1 << 70)], {})


def test_an_index_that_may_not_be_read_is_refused_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "index").touch()

    def refuse(*_, **__):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(BrownidError, match="unable to open database file"):
        DatabaseIndex.open(tmp_path / "index")


def test_text_of_another_encoding_in_a_foreign_index_is_escaped(tmp_path):
    DatabaseIndex.create(tmp_path / "index", [Sample("a", "p", 1)], {})
    connection = sqlite3.connect(tmp_path / "index")
    connection.execute("UPDATE samples SET path = CAST(x'4A6F73E92F312E706E67' AS TEXT)")
    connection.commit()
    connection.close()
    with DatabaseIndex.open(tmp_path / "index") as index:
        assert index.samples()[0].path == r"Jos\xe9/1.png"


NO_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int asks(int c) {
    return c == F_SETLK || c == F_SETLKW || c == F_GETLK || c == F_OFD_SETLK || c == F_OFD_SETLKW;
}
#define REPLACE(name) int name(int fd, int command, ...) { \\
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #name); \\
    va_list more; va_start(more, command); void *value = va_arg(more, void *); va_end(more); \\
    if (asks(command)) { errno = ENOLCK; return -1; } \\
    return real(fd, command, value); }
REPLACE(fcntl)
REPLACE(fcntl64)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler to make a file system without locks from")
def test_a_file_system_without_locks_is_written_and_read(tmp_path):
    (tmp_path / "locks.c").write_text(NO_LOCKS)
    library = tmp_path / "locks.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "locks.c", "-ldl"], check=True)
    job = (
        "import sqlite3, sys; from brownid.databases.index import DatabaseIndex, Sample\n"
        "DatabaseIndex.create(sys.argv[1], [Sample('a', 'p', 1)], {'P': {'train': ['a']}})\n"
        "print(DatabaseIndex.open(sys.argv[1]).counts())\n"
        "sqlite3.connect(sys.argv[1]).execute('CREATE TABLE t (i)')"  # shows that the locks are gone
    )
    environment = {"LD_PRELOAD": str(library), "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", job, tmp_path / "index"], capture_output=True, text=True, env=environment
    )
    assert ran.stdout == "(1, 1)\n" and "OperationalError" in ran.stderr.splitlines()[-1], ran.stderr
