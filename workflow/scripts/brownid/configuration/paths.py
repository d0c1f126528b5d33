"""Paths that several rules share, derived from the configuration."""

import re
from collections.abc import Mapping
from typing import Any

from brownid.configuration.crops import crop_read, scored_entries
from brownid.configuration.datasets import DATASETS, namespace, original, section_of
from brownid.configuration.hyperface import packed_references, takes_embeddings
from brownid.configuration.loading import own_paths
from brownid.databases.multipie import list_files
from brownid.weights import catalogue
from brownid.weights.catalogue import fetched_paths, same_path


def alternatives(config: Mapping, *sections: str) -> str:
    """A regular expression that matches the entry names of some sections, and nothing where they have none."""
    return one_of([name for section in sections for name in config.get(section, {})])


def one_of(names: list[str]) -> str:
    """A regular expression that matches some names, and nothing where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def fetched_models(config: Mapping) -> str:
    """A regular expression that matches the files that the workflow may fetch."""
    fetched = fetched_paths(config)
    # as the configuration writes them too: Snakemake takes ./models/net for another file than models/net
    return one_of([*fetched, *(own.path for own in own_paths(config) if same_path(own.path) in fetched)])


def database_root(config: Mapping, database: str) -> str:
    """The folder that holds a database's images: the user's, or the one the embedded world is photographed into."""
    return config["databases"][database]["root"] or f"results/databases/{database}/images"


def benchmark_file(config: Mapping, benchmark: str, model: str) -> str:
    """The .bin file of a benchmark that a network is scored on: the user's, or one of the crops that it reads."""
    entry = config["benchmarks"][benchmark]
    template, image_size = crop_read(config, entry_of(model))
    if entry.get("capture"):  # photographed at any side; its eyes lie where arcface and two_eye have them
        return f"results/benchmarks/{benchmark}.{image_size}.bin"
    if benchmark in prepared_benchmarks(config):
        return f"results/benchmarks/{benchmark}.{template}_{image_size}.bin"
    return entry["file"]


def benchmarks_of(config: Mapping, group: str) -> list[str]:
    """The benchmarks of a group, in alphabetical order."""
    return sorted(name for name, entry in config["benchmarks"].items() if entry["group"] == group)


def benchmark_files(config: Mapping, group: str, model: str) -> list[str]:
    """The .bin files of a group that a network is scored on, in the order of the benchmarks' names."""
    return [benchmark_file(config, name, model) for name in benchmarks_of(config, group)]


def captured_benchmarks(config: Mapping) -> list[str]:
    """The benchmarks for which the embedded world is photographed, in alphabetical order."""
    return sorted(name for name, entry in config["benchmarks"].items() if entry.get("capture"))


def prepared_benchmarks(config: Mapping) -> list[str]:
    """The benchmarks of the user's that become the crops that each network reads, in alphabetical order."""
    own = {name: entry for name, entry in config["benchmarks"].items() if not entry.get("capture")}
    return sorted(name for name, entry in own.items() if entry["folder"] or entry["alignment"] is not None)


def benchmark_source(config: Mapping, benchmark: str) -> list[str]:
    """The user's .bin file that a benchmark is prepared from; none for a folder."""
    file = config["benchmarks"][benchmark]["file"]
    return [file] if file else []


def benchmark_pairs(config: Mapping, benchmark: str) -> list[str]:
    """The pairs file of a benchmark of the user's images; none for one that AdaFace's scripts converted."""
    pairs = config["benchmarks"][benchmark]["pairs"]
    return [pairs] if pairs else []


def benchmark_persons(config: Mapping, group: str, model: str) -> list[str]:
    """The tables of persons of the benchmarks that a network is scored on; a .bin file of the user's has none."""
    made = {*captured_benchmarks(config), *prepared_benchmarks(config)}
    files = [benchmark_file(config, name, model) for name in benchmarks_of(config, group) if name in made]
    return [file.removesuffix(".bin") + ".persons.csv" for file in files]


def benchmark_failures(config: Mapping, group: str, model: str) -> list[str]:
    """The lists of images that failed when the benchmarks that a network is scored on were prepared."""
    made = prepared_benchmarks(config)
    files = [benchmark_file(config, name, model) for name in benchmarks_of(config, group) if name in made]
    return [file.removesuffix(".bin") + ".failures.csv" for file in files]


def detector_files(config: Mapping, section: str, name: str) -> list[str]:
    """The model files of the detector that aligns the images of a database or benchmark, where one does."""
    detector = config["detectors"].get((config[section][name]["alignment"] or {}).get("detector"), {})
    return [*([detector["file"]] if "file" in detector else []), *detector.get("files", {}).values()]


def database_files(config: Mapping, database: str, key: str) -> list[str]:
    """The user's files about a database that `key` names: none, one, or the lists below a folder."""
    path = config["databases"][database][key]
    if path is None:
        return []
    return [str(file) for file in list_files(path)] if key == "lists" else [path]


def generator_files(config: Mapping, generator: str) -> list[str]:
    """The files that a generator is read from, where it has some."""
    return catalogue.generator_files(config["generators"][generator])


def references_generator_files(config: Mapping, dataset: str) -> list[str]:
    """The files of the generator of a references or variations entry, where it has some."""
    return generator_files(config, config["references"][namespace(config, dataset)]["generator"])


def trained_models(config: Mapping, training: str) -> list[str]:
    """The networks of a training entry, `ENTRY/seed_N`: one per seed, also where there is one seed."""
    seeds = config["training"][training]["seeds"] or [config["seed"]]
    return [f"{training}/seed_{seed}" for seed in seeds]


def scored_models(config: Mapping) -> dict[str, list[str]]:
    """The FR networks of each scored entry, in alphabetical order: `ENTRY/seed_N` of trainings, or the entry itself."""
    entries = scored_entries(config)
    return {name: trained_models(config, name) if name in config["training"] else [name] for name in entries}


def models(config: Mapping) -> list[str]:
    """The FR networks that are scored, in alphabetical order of their entries."""
    return [model for names in scored_models(config).values() for model in names]


def entry_of(model: str) -> str:
    """The training or networks entry of a network."""
    return model.partition("/")[0]


def scored(config: Mapping, group: str, suffix: str) -> list[str]:
    """The files of one kind with the scores of the networks on the benchmarks of a group."""
    return [f"results/scores/{group}/{model}.{suffix}" for model in models(config)]


def weights(config: Mapping, model: str) -> str:
    """The weights of an FR network: the user's file, or those that the workflow trains."""
    if model in config["networks"]:
        return config["networks"][model]["weights"] or f"results/networks/{model}/weights.safetensors"
    return f"results/training/{model}/weights.safetensors"


def references_weights(config: Mapping, dataset: str) -> str:
    """The weights of the network that steers a references or variations entry."""
    return weights(config, config["references"][namespace(config, dataset)]["network"])


def samples(config: Mapping, dataset: str) -> str:
    """The collection of latents and embeddings of a references or variations entry."""
    return f"results/{section_of(config, dataset, DATASETS)}/{dataset}/samples.h5"


def statistics(config: Mapping, dataset: str) -> str:
    """The statistics over iterations of a references or variations entry."""
    return f"results/{section_of(config, dataset, DATASETS)}/{dataset}/stats.h5"


def command(config: Mapping, dataset: str) -> str:
    """The settings, versions and checksums that a references or variations entry was made with."""
    return f"results/{section_of(config, dataset, DATASETS)}/{dataset}/command.yml"


def shard_names(config: Mapping, dataset: str) -> list[str]:
    """The names of a dataset's shards, `1-of-2`, `2-of-2`: a matter of job size, never of results."""
    source = original(config, dataset)
    shards = config[section_of(config, source, DATASETS)][source]["shards"]
    return [f"{shard}-of-{shards}" for shard in range(1, shards + 1)]


def image_shards(config: Mapping, dataset: str) -> list[str]:
    """The image shards of a dataset: references, variations or a database."""
    return [f"results/images/{dataset}/{shard}.arrow" for shard in shard_names(config, dataset)]


def gallery(dataset: str) -> str:
    """The script that begins a dataset's part of the gallery, in the folder of its thumbnails."""
    return f"results/gallery/{dataset}/data.js"


def export(layout: str, training_set: str) -> str:
    """The record of an exported training set, which stands in its folder."""
    return f"results/exports/{layout}/{training_set}/export.json"


def training_parts(config: Mapping, datasets: list[str]) -> list[dict[str, Any]]:
    """Name, image shards and collection of each dataset of a training set."""
    return [
        {"name": name, "images": image_shards(config, name), "samples": samples(config, original(config, name))}
        for name in datasets
    ]


def capture_manifest(config: Mapping, database: str) -> list[str]:
    """Manifest of a database of the embedded world; empty for other databases."""
    return [] if config["databases"][database]["root"] else [f"results/databases/{database}/capture.csv"]


def database_index(config: Mapping, database: str) -> str:
    """The SQLite index of a database."""
    return f"results/databases/{database}/index.sqlite"


def leak_guard(config: Mapping, references: str) -> list[str]:
    """The embeddings that references stay away from, where the entry names a leak guard."""
    entry = config["references"][references]
    return [embeddings(entry["network"], entry["leak_guard"])] if entry["leak_guard"] else []


def embeddings(network: str, dataset: str) -> str:
    """The embeddings of a dataset's images by a network."""
    return f"results/embeddings/{network}/{dataset}.h5"


def judged_embeddings(config: Mapping, dataset: str) -> list[str]:
    """The judge's embeddings of a dataset: for variations, those of their references first."""
    names = dict.fromkeys([namespace(config, dataset), dataset])
    return [embeddings(config["quality"]["judge"], name) for name in names]


def judged_leak_guard(config: Mapping, dataset: str) -> list[str]:
    """The judge's embeddings of the leak guard of a dataset's references, where these have one."""
    guard = guarding_database(config, dataset)
    return [embeddings(config["quality"]["judge"], guard)] if guard else []


def guarding_database(config: Mapping, dataset: str) -> str | None:
    """The leak guard of a dataset's references, where these have one."""
    guard: str | None = config["references"].get(namespace(config, dataset), {}).get("leak_guard")
    return guard


def identity_quality(config: Mapping, dataset: str) -> list[str]:
    """The table of a dataset's identities as the judge measured them; none without a judge."""
    return [f"results/quality/{dataset}.identities.csv"] if config["quality"] else []


def start(config: Mapping, references: str) -> list[str]:
    """The references that an entry starts from, where it names some."""
    name = config["references"][references]["start"]
    return [samples(config, name)] if name else []


def nuisance_covariates(config: Mapping, references: str) -> list[str]:
    """The within-class covariance whose directions an entry's references leave out, where it names one."""
    projection = config["references"][references]["nuisance_projection"]
    return [within_class(config, projection["covariates"])] if projection else []


def sampled(config: Mapping) -> str:
    """A regular expression that matches the references entries that are sampled in latent space."""
    return one_of([name for name in config["references"] if name not in packed_references(config)])


def packed(config: Mapping) -> str:
    """A regular expression that matches the references entries that are packed on the hypersphere."""
    return one_of(packed_references(config))


def is_embedding_conditioned(config: Mapping, dataset: str) -> bool:
    """Whether the generator of a references or variations entry is conditioned on embeddings: it has no latents."""
    return takes_embeddings(config, config["references"][namespace(config, dataset)]["generator"])


def is_in_w_plus(config: Mapping, dataset: str) -> bool:
    """Whether a dataset is a variations entry whose latents are those of W+, one per layer of the generator."""
    return config["variations"].get(dataset, {}).get("settings", {}).get("space") == "w_plus"


def faces(config: Mapping, references: str) -> list[str]:
    """Random faces of the generator of a packed entry; none where that is conditioned on embeddings."""
    return [] if is_embedding_conditioned(config, references) else [f"results/hyperface/{references}/faces.h5"]


def packing_start(config: Mapping, references: str) -> list[str]:
    """The embeddings that a packing starts from."""
    return start(config, references) or faces(config, references)


def packing_gallery(config: Mapping, references: str) -> list[str]:
    """The embeddings that attract a packing."""
    entry = config["references"][references]
    if entry["gallery"] in config["databases"]:
        return [embeddings(entry["network"], entry["gallery"])]
    return [samples(config, entry["gallery"])] if entry["gallery"] else faces(config, references)


def variation_shards(config: Mapping, variations: str, suffix: str) -> list[str]:
    """The files of one kind that the jobs of a variations entry write."""
    return [f"results/variations/{variations}/shards/{name}.{suffix}" for name in shard_names(config, variations)]


def variation_covariates(config: Mapping, variations: str) -> list[str]:
    """The file of the covariates entry that a variations entry names, if any: directions, or the covariance."""
    entry = config["variations"][variations]
    found = within_class if entry["algorithm"] == "within_class" else covariates
    return [found(config, entry["covariates"])] if entry["covariates"] else []


def covariates(config: Mapping, name: str) -> str:
    """The fitted covariates of an entry."""
    return f"results/covariates/{name}/covariates.h5"


def within_class(config: Mapping, name: str) -> str:
    """The within-class covariance of a covariates entry."""
    return f"results/covariates/{name}/within_class.h5"


def has_attributes(config: Mapping, name: str) -> bool:
    """Whether directions of attributes are fitted for a covariates entry: its database is of the kind multipie."""
    return config["databases"][config["covariates"][name]["database"]]["kind"] == "multipie"


def warm_start(config: Mapping, name: str) -> list[str]:
    """Warm-start file of a covariates entry; empty if projection starts at the mean latent."""
    started = config["covariates"][name]["projection"]["start"] == "warm_start"
    return [f"results/covariates/{name}/warm_start.safetensors"] if started else []


def vgg16_file(config: Mapping, name: str, role: str) -> list[str]:
    """The user's file of the VGG16 features of a covariates entry, where it has one: `weights` or `linear`."""
    path = (config["covariates"][name]["vgg16"] or {}).get(role)
    return [path] if path else []


def projection_shards(config: Mapping, name: str, suffix: str) -> list[str]:
    """The files of one kind that the projection jobs of a covariates entry write."""
    shards = config["covariates"][name]["shards"]
    return [f"results/covariates/{name}/latents/{shard}-of-{shards}.{suffix}" for shard in range(1, shards + 1)]


def shown_images(config: Mapping, dataset: str) -> list[str]:
    """The image shards that a sheet of faces is made of: for variations, their references too."""
    names = [namespace(config, dataset), dataset]
    return [shard for name in dict.fromkeys(names) for shard in image_shards(config, name)]
