"""How the layouts of a release are opened, as its card shows it: one block of code each."""

from collections.abc import Sequence

from brownid.exports.parquet import MOST_CLASS_NAMES
from brownid.release.markup import python, table
from brownid.release.metadata import DatasetRecord, ReleasedSetRecord
from brownid.samples.published import W_PLUS

COLUMNS = (
    ("image", "the crop, PNG"),
    ("label", "class, 0 … n − 1 in this set"),
    ("identity", "class name, `NAMESPACE/NUMBER`: the same person in all sets"),
    ("sample", "`reference`, or the name of the variation"),
    ("dataset", "the dataset that the image is from"),
    ("latent", "of the generator"),
    ("w_plus_latent", "of the generator, one per layer"),
    ("embedding", "of the image by the steering network, unit length"),
)


def section(release: str, training_sets: Sequence[ReleasedSetRecord], datasets: Sequence[DatasetRecord]) -> str:
    """The section of the card, with an example for each layout that the release has."""
    parts = ["## Loading"]
    others: list[str] = []
    for layout, example in EXAMPLES.items():
        having = [each for each in training_sets if layout in each.layouts]
        if having:
            shown = example(release, max(having, key=lambda each: each.rows))
            (parts if layout == "parquet" else others).append(shown)
    published = [each for each in datasets if each.published]
    if published:
        others.append(_published(max(published, key=lambda each: each.samples)))
    if len(parts) > 1 and others:
        others = ["<details>\n<summary>Other layouts of the same images</summary>", *others, "</details>"]
    return "\n\n".join([*parts, *others])


def _parquet(release: str, record: ReleasedSetRecord) -> str:
    words = (
        "**Parquet**, by Hugging Face `datasets`, from the folder or its repository on the Hub; `streaming=True`"
        " downloads what is read:"
    )
    # above so many classes the label is a plain number
    shown = f'row["image"], row["label"]  # PIL image, 0 to {record.classes - 1}'
    if record.classes <= MOST_CLASS_NAMES:
        shown = f'row["image"], faces.features["label"].num_classes  # PIL image, {record.classes}'
    example = f"""from datasets import load_dataset

faces = load_dataset("{release}", "{record.name}", split="train")
row = faces[0]
{shown}"""
    shapes = {
        "latent": record.latent_dimension and [record.latent_dimension],
        "w_plus_latent": record.w_plus_shape and list(record.w_plus_shape),
        "embedding": record.embedding_dimension and [record.embedding_dimension],
    }
    rows = [
        [f"`{name}`", f"{what}, `{shapes[name]}`" if name in shapes else what]
        for name, what in COLUMNS
        if shapes.get(name, True)
    ]
    return f"{words}\n\n{python(example)}\n\n{table(['column', 'what'], rows)}"


def _webdataset(release: str, record: ReleasedSetRecord) -> str:
    example = f"""from glob import glob
import webdataset

shards = sorted(glob("{release}/webdataset/{record.name}/train-*.tar"))
faces = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png", "cls")"""
    return f"**WebDataset**, tar shards in random order:\n\n{python(example)}"


def _recordio(release: str, record: ReleasedSetRecord) -> str:
    words = (
        "**RecordIO** (`train.rec`, `train.idx`, `property`), for insightface, AdaFace and CVLface; in a"
        " configuration of insightface's arcface_torch:"
    )
    example = f"""config.rec = "{release}/recordio/{record.name}"
config.num_classes, config.num_image = {record.classes}, {record.rows}"""
    return f"{words}\n\n{python(example)}"


def _lmdb(release: str, record: ReleasedSetRecord) -> str:
    words = (
        "**LMDB**, as HSFace and VFace are published: the values of the keys `0`, `1`, … are msgpack arrays of image"
        " and class:"
    )
    example = f"""import lmdb, msgpack

file = lmdb.open("{release}/lmdb/{record.name}/train.lmdb", subdir=False, readonly=True, lock=False)
with file.begin() as transaction:
    image, label = msgpack.unpackb(transaction.get(b"0"))"""
    return f"{words}\n\n{python(example)}"


EXAMPLES = {"parquet": _parquet, "webdataset": _webdataset, "recordio": _recordio, "lmdb": _lmdb}


def _published(record: DatasetRecord) -> str:
    layered = f"[{record.latent_layers}, {record.latent_dimension}], one per layer of the generator"
    latent = f'            latent = sample["w_latent"][0]  # [{record.latent_dimension}]\n'
    latents = latent if record.latent_dimension else ""
    latents += f'            w_plus = sample["{W_PLUS}"][0]  # {layered}\n' if record.latent_layers else ""
    folder = f"{record.name}/{record.image_folder}"
    words = (
        "**The published layout** of the ICML paper, per dataset `samples.h5` and one PNG per image (the folder is"
        " called"
        " images_arcface_… whatever the template). References and their variations are two datasets; identity"
        " `00000` of"
        f' other references is another person. `torchvision.datasets.ImageFolder("{folder}")` opens one dataset.'
    )
    example = f"""import h5py
from PIL import Image

with h5py.File("{record.name}/samples.h5") as file:
    for identity in file:  # "00000", "00001", ...
        for label, sample in file[identity].items():
{latents}            embedding = sample["embedding"][0]  # [{record.embedding_dimension}], unit length
            image = Image.open(f"{folder}/{{identity}}/{{label}}.png")"""
    return f"{words}\n\n{python(example)}"
