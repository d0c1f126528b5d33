"""The authors' SQLite files, as SQLAlchemy writes them: other column orders, further tables, their group names."""

import sqlite3

import pytest

from brownid.databases.index import DatabaseIndex
from brownid.databases.kinds import import_index
from brownid.databases.multipie import Picture
from brownid.runtime.errors import BrownidError

PATHS = [Picture(1, 1, 1, "04_1", 7).path, Picture(2, 1, 1, "05_1", 1).path, "session01/highres/001_01_01.png"]


@pytest.fixture
def source(tmp_path):
    """Three samples, in protocol U with the group train and in P_center_lit with the group world."""
    with sqlite3.connect(tmp_path / "theirs.sqlite") as connection:
        connection.executescript("""
            CREATE TABLE alembic_version (version VARCHAR);
            CREATE TABLE groups (protocol_id INTEGER NOT NULL, id INTEGER NOT NULL, name VARCHAR NOT NULL);
            CREATE TABLE samples (
                identity INTEGER NOT NULL, note VARCHAR, path VARCHAR NOT NULL, id INTEGER NOT NULL, "key" VARCHAR);
            CREATE TABLE protocols (name VARCHAR NOT NULL, id INTEGER NOT NULL);
            CREATE TABLE meta_data_types (type VARCHAR(5), name VARCHAR NOT NULL, id INTEGER NOT NULL);
            CREATE TABLE meta_data (
                type_id INTEGER, sample_id INTEGER, id INTEGER NOT NULL, value_float FLOAT, value_int INTEGER,
                value_str VARCHAR);
            CREATE TABLE groups_samples (sample_id INTEGER NOT NULL, group_id INTEGER NOT NULL);
            INSERT INTO protocols VALUES ('U', 1), ('P_center_lit', 2);
            INSERT INTO groups VALUES (1, 1, 'train'), (1, 2, 'dev'), (2, 3, 'world');
            INSERT INTO groups_samples VALUES (1, 1), (2, 1), (3, 2), (1, 3);
            INSERT INTO meta_data_types VALUES ('str', 'camera', 1), ('str', 'img_type', 2);
            INSERT INTO meta_data VALUES (1, 1, 1, NULL, NULL, '04_1'), (2, 3, 2, NULL, NULL, 'highres');
        """)
        for number, path in enumerate(PATHS, start=1):
            key = path.removesuffix(".png").replace("/", "_")
            connection.execute("INSERT INTO samples VALUES (?, NULL, ?, ?, ?)", (7 + number, path, number, key))
    connection.close()
    (tmp_path / "root" / PATHS[0]).parent.mkdir(parents=True)
    (tmp_path / "root" / PATHS[0]).touch()
    return tmp_path / "theirs.sqlite"


def test_an_index_of_the_authors_becomes_one_of_ours(source, tmp_path, caplog):
    assert import_index(tmp_path / "root", tmp_path / "ours", source, "multipie") == 3
    with DatabaseIndex.open(tmp_path / "ours") as index:
        assert [sample.identity for sample in index.samples()] == [8, 9, 10]
        assert {protocol: index.groups(protocol) for protocol in index.protocols()} == {
            "U": ["train", "dev"],
            "P_center_lit": ["train"],
        }
        first, second, third = index.samples()
        assert [s.path for s in index.samples("train", "P_center_lit")] == [PATHS[0]]
        assert first.meta["pose"] == "right" and first.meta["camera"] == "04_1" and first.meta["flash"] == 7
        assert second.meta["illumination"] == "left" and third.meta == {"img_type": "highres"}
    assert "2 of 3 images" in caplog.text


def test_of_other_kinds_the_attributes_stay_as_they_are(source, tmp_path):
    import_index(tmp_path / "root", tmp_path / "ours", source, "people")
    with DatabaseIndex.open(tmp_path / "ours") as index:
        assert index.samples()[0].meta == {"camera": "04_1"}


def test_an_index_of_another_folder_is_refused(source, tmp_path):
    with pytest.raises(BrownidError, match=f"None of the 3 images .* such as {PATHS[0]}"):
        import_index(tmp_path / "elsewhere", tmp_path / "ours", source, "multipie")


def test_ours_is_read_as_it_was_written(tmp_path, source):
    import_index(tmp_path / "root", tmp_path / "once", source, "multipie")
    import_index(tmp_path / "root", tmp_path / "twice", tmp_path / "once", "multipie")
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "UPDATE samples SET identity = 'seven' WHERE id = 2",
            "identity of its sample 2 is 'seven' and must be a whole",
        ),
        ("UPDATE samples SET key = NULL WHERE id = 1", "key of its sample 1 is missing and must be text"),
        (
            "UPDATE meta_data_types SET type = 'boolean'",
            "type of its attribute 'camera' is 'boolean' and must be one of",
        ),
        ("UPDATE meta_data_types SET type = NULL", "type of its attribute 'camera' is missing"),
        (
            "DROP TABLE groups; CREATE TABLE groups AS SELECT NULL name, 1 id, 1 protocol_id",
            "name of one group in it is",
        ),
    ],
)
def test_rows_that_cannot_be_used_are_named(source, tmp_path, change, sentence):
    with sqlite3.connect(source) as connection:
        connection.executescript(change)
    connection.close()
    with pytest.raises(BrownidError, match=sentence):
        import_index(tmp_path / "root", tmp_path / "ours", source, "people")


@pytest.mark.parametrize("column", ["path", "identity"])
def test_a_sample_without_path_or_identity_is_named(source, tmp_path, column):
    with sqlite3.connect(source) as connection:
        connection.executescript(f"""
            ALTER TABLE samples RENAME TO theirs;
            CREATE TABLE samples AS SELECT * FROM theirs;
            UPDATE samples SET {column} = NULL WHERE id = 3;""")
    connection.close()
    with pytest.raises(BrownidError, match=f"the {column} of its sample 3 is missing"):
        import_index(tmp_path / "root", tmp_path / "ours", source, "people")


def test_an_attribute_without_a_value_is_no_attribute(source, tmp_path):
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE meta_data SET value_str = NULL WHERE sample_id = 1")
    connection.close()
    assert import_index(tmp_path / "root", tmp_path / "ours", source, "people") == 3
    with DatabaseIndex.open(tmp_path / "ours") as index:
        assert [sample.meta for sample in index.samples()] == [{}, {}, {"img_type": "highres"}]
