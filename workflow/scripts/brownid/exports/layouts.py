"""The layouts that a training set is exported in."""

from collections.abc import Callable

from brownid.exports import lmdb, parquet, recordio, webdataset

# name -> write(training_set, folder, *, shard_bytes, processes): writes into a new, empty folder, which the caller
# makes appear whole; no image is decoded, and memory does not grow with the number of images (lmdb: 20 bytes
# each). Of this table the fingerprint of a job covers its own layout alone.
LAYOUTS: dict[str, Callable[..., None]] = {
    "parquet": parquet.write,
    "recordio": recordio.write,
    "webdataset": webdataset.write,
    "lmdb": lmdb.write,
}
