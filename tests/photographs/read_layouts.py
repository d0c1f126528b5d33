"""Read train.rec by MXNet, as arcface_torch does, and train.lmdb by msgpack, as HSFace's loader does; print as JSON.

`python read_layouts.py RECORDIO_FOLDER LMDB_FILE`, in the environment of readers.txt.
"""

import json
import sys
from hashlib import sha256

import lmdb
import msgpack
import numpy as np

np.bool = np.bool_  # MXNet 1.9.1 uses the name that numpy 1.24 removed
import mxnet as mx  # noqa: E402


def read_records(folder):
    """What a loader needs of a record file: its header, then class and pixels of each image."""
    file = mx.recordio.MXIndexedRecordIO(f"{folder}/train.idx", f"{folder}/train.rec", "r")
    header, _ = mx.recordio.unpack(file.read_idx(0))
    first, last = (int(number) for number in header.label)
    labels, pixels = [], []
    for number in range(1, first):
        image_header, image = mx.recordio.unpack(file.read_idx(number))
        labels.append(int(image_header.label))
        pixels.append(mx.image.imdecode(image).asnumpy())
    ranges = [
        [int(edge) for edge in mx.recordio.unpack(file.read_idx(number))[0].label] for number in range(first, last)
    ]
    return {"labels": labels, "pixels": [sha256(each.tobytes()).hexdigest() for each in pixels], "ranges": ranges}


def read_lmdb(path):
    """Class and encoded image of each row, by the keys that the file lists."""
    with lmdb.open(path, subdir=False, readonly=True, lock=False) as file, file.begin() as transaction:
        keys, length, classes = (
            msgpack.loads(transaction.get(name)) for name in (b"__keys__", b"__len__", b"__classnum__")
        )
        rows = [msgpack.loads(transaction.get(key)) for key in keys]
    images = [sha256(image).hexdigest() for image, _ in rows]
    return {"labels": [label for _, label in rows], "images": images, "length": length, "classes": classes}


if __name__ == "__main__":
    print(json.dumps({"recordio": read_records(sys.argv[1]), "lmdb": read_lmdb(sys.argv[2])}))
