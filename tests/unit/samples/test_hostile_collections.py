"""Collections that lead to other files, declare more than they hold, or are held by another program."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples import hdf5
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics

LEADS_OUT = "is a link to another file, which is not read"
ELSEWHERE = "is a dataset whose content is in other files, which is not read"


@pytest.fixture
def loaded(collection, tmp_path):
    """Loads a collection of a format whose file was changed by a function."""

    def load(change, published=False):
        path = tmp_path / "samples.h5"
        (collection.save_published if published else collection.save)(path)
        with h5py.File(path, "r+") as file:
            change(file)
        return SampleCollection.load(path)

    (tmp_path / "secret").write_bytes(bytes(1000))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((6, 8), np.float32)
    return load


def replaced(name, make):
    def change(file):
        if name in file:
            del file[name]
        make(file, name)

    return change


def linked(target):
    return lambda file, name: file.__setitem__(name, target)


def dataset(shape, dtype="f4", **options):
    return lambda file, name: file.create_dataset(name, shape, dtype, **options)


def virtual(source):
    def make(file, name):
        layout = h5py.VirtualLayout((6, 8), "f4")
        layout[:] = h5py.VirtualSource(source, "x", (6, 8))
        file.create_virtual_dataset(name, layout)

    return make


def in_other_file(file, name):
    where = os.path.join(os.path.dirname(file.filename), "secret")
    file.create_dataset(name, (6, 8), "f4", external=[(where, 0, 192)])


def through_another_link(file, name):
    file["way"] = h5py.ExternalLink("other.h5", "/")
    file[name] = h5py.SoftLink("/way/x")


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("latents", linked(h5py.ExternalLink("other.h5", "/x")), f"/latents {LEADS_OUT}"),
        ("extra/c_label", linked(h5py.ExternalLink("other.h5", "/x")), f"/extra/c_label {LEADS_OUT}"),
        ("unused", linked(h5py.ExternalLink("/dev/tty", "/x")), f"/unused {LEADS_OUT}"),
        ("latents", through_another_link, f"/way {LEADS_OUT}"),
        ("latents", in_other_file, f"/latents {ELSEWHERE}"),
        ("latents", virtual("other.h5"), f"/latents {ELSEWHERE}"),
        ("label_table", in_other_file, "label_table is no list of texts"),
        ("identity", dataset((6,), "i8", external=[("secret", 0, 48)]), f"/identity {ELSEWHERE}"),
    ],
)
def test_a_collection_that_leads_to_other_files_is_refused(loaded, name, make, sentence):
    with pytest.raises(BrownidError, match=rf"samples\.h5: {sentence}"):
        loaded(replaced(name, make))


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("00099", linked(h5py.ExternalLink("other.h5", "/")), f"/00099 {LEADS_OUT}"),
        ("00000/other", linked(h5py.ExternalLink("other.h5", "/")), f"/00000/other {LEADS_OUT}"),
        ("00000/reference/w_latent", linked(h5py.ExternalLink("other.h5", "/x")), f"w_latent {LEADS_OUT}"),
        ("00000/reference/w_latent", dataset((1, 8), external=[("secret", 0, 32)]), f"w_latent {ELSEWHERE}"),
    ],
)
def test_a_published_collection_that_leads_to_other_files_is_refused(loaded, name, make, sentence):
    with pytest.raises(BrownidError, match=rf"samples\.h5: .*{sentence}"):
        loaded(replaced(name, make), published=True)


def test_statistics_that_lead_to_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file["timestep"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(BrownidError, match=f"/timestep {LEADS_OUT}"):
        load_statistics(tmp_path / "stats.h5")


def test_links_within_the_file_are_followed(loaded, collection, assert_same):
    def change(file):
        file.move("latents", "kept/elsewhere")
        file["latents"] = h5py.SoftLink("/kept/elsewhere")
        file["kept/cycle"] = file["/"]

    assert_same(loaded(change), collection)


HUGE = (6, 10**12)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("latents", dataset(HUGE)),
        ("latents", dataset(HUGE, chunks=(1, 1000))),
        ("latents", dataset(HUGE, chunks=(1, 1000), compression="gzip")),
        ("latents", dataset((6, 8), chunks=(6, 2**24), maxshape=(None, None))),
        ("identity", dataset((10**12,), "i8", chunks=(1000,))),
        ("label_table", dataset((10**6,), "S60000")),
        ("settings", dataset((10**12,), h5py.string_dtype(), chunks=(1000,))),
    ],
)
def test_what_declares_more_than_the_file_holds_is_refused_before_it_is_allocated(loaded, name, make):
    def change(file):
        file.attrs.pop("settings")
        replaced(name, make)(file)

    with pytest.raises(BrownidError, match=rf"samples\.h5: /{name} declares \d+ bytes, of which the file can hold"):
        loaded(change)


def test_numbers_that_are_compressed_twice_are_refused(loaded):
    """Each byte could stand for a million."""

    def change(file):
        del file["latents"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((6, 2**24))
        for _ in range(2):
            creation.set_deflate(9)
        space = h5py.h5s.create_simple((6, 2**24))
        item = h5py.h5d.create(file.id, b"latents", h5py.h5t.IEEE_F32LE, space, creation)
        item.write_direct_chunk((0, 0), b"\0" * 2000)

    with pytest.raises(BrownidError, match="/latents declares 402653184 bytes, of which the file can hold"):
        loaded(change)


def test_a_published_dataset_that_declares_more_than_the_file_holds_is_refused(loaded):
    with pytest.raises(BrownidError, match="w_latent declares 4000000000000 bytes, of which the file can hold 0"):
        loaded(replaced("00000/reference/w_latent", dataset((1, 10**12))), published=True)


def test_one_long_row_does_not_make_all_absent_ones_long(loaded):
    def change(file):
        file.create_dataset("00000/reference/z_latent", data=np.zeros((1, 10**5), np.float32))
        for number in range(100, 400):
            file.create_group(f"{number:05}/reference")

    with pytest.raises(BrownidError, match="z_latent has 400000 bytes, which for all 306 samples is more than"):
        loaded(change, published=True)


def test_texts_that_share_one_long_text_are_refused(loaded):
    """As h5py cannot write them: each label of variable length is told to be the whole file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(h5py.Dataset, "asstr", lambda self: ["x" * 10**5] * 6)
        with pytest.raises(BrownidError, match="label_table is a list of texts that is longer than its file"):
            loaded(replaced("label_table", dataset((6,), h5py.string_dtype())))


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_numbers_that_compress_well_are_read(make_collection, tmp_path, compression):
    made = make_collection(latents=np.zeros((6, 2**19), np.float32))
    made.save(tmp_path / "samples.h5", compression=compression)
    assert not SampleCollection.load(tmp_path / "samples.h5").latents.any()


def test_a_few_numbers_that_were_never_written_are_read_as_hdf5_gives_them(tmp_path):
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file.create_dataset("timestep", (20,), "f4")
    assert load_statistics(tmp_path / "stats.h5")["timestep"].tolist() == [0.0] * 20


@pytest.mark.parametrize("settings", ["[" * 50_000, '{"a": ' + "9" * 5000 + "}"])
def test_odd_settings_are_a_sentence(loaded, settings):
    with pytest.raises(BrownidError, match=r"samples\.h5: this is not a readable HDF5 file"):
        loaded(lambda file: file.attrs.__setitem__("settings", settings))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path, make):
    make(tmp_path / "samples.h5")
    with pytest.raises(BrownidError, match=r"samples\.h5: this is no regular file"):
        SampleCollection.load(tmp_path / "samples.h5")


HOLD = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print(1, flush=True); input()"


def test_a_collection_that_another_program_writes_or_wrote_when_it_was_killed_is_told_as_such(collection, tmp_path):
    path = tmp_path / "samples.h5"
    collection.save(path)
    sentence = rf"samples\.h5: the file is open for writing in another program \(a notebook.* `h5clear -s {path}`"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(BrownidError, match=sentence):
            SampleCollection.load(path)
        process.kill()
    with pytest.raises(BrownidError, match=sentence):
        SampleCollection.load(path)


@pytest.mark.parametrize(
    ("number", "reason", "sentence"),
    [
        (errno.EAGAIN, "unable to lock file, errno = 11", "is open for writing in another program"),
        (errno.ENOLCK, "unable to lock file, errno = 37", "cannot be locked here, .* HDF5_USE_FILE_LOCKING"),
        (errno.ENOSYS, "unable to lock file, errno = 38", "cannot be locked here, .* HDF5_USE_FILE_LOCKING"),
        (errno.EACCES, "unable to open file, errno = 13", "Permission denied; see to its permissions"),
        (errno.EIO, "unable to open file, errno = 5", "its disk or network file system fails"),
    ],
)
def test_what_the_system_refuses_is_not_called_damage(collection, tmp_path, monkeypatch, number, reason, sentence):
    collection.save(tmp_path / "samples.h5")

    def refuse(*_, **__):
        raise OSError(number, reason)

    monkeypatch.setattr(hdf5.h5py, "File", refuse)
    with pytest.raises(BrownidError, match=rf"samples\.h5: .*{sentence}"):
        SampleCollection.load(tmp_path / "samples.h5")
