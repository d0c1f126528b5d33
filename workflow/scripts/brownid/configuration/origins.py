"""What the data of the release were made from: the facts about its entries that its card states."""

from collections.abc import Mapping

from brownid.configuration import paths
from brownid.configuration.datasets import namespace, original
from brownid.configuration.links import GROUPS
from brownid.configuration.release import released_datasets
from brownid.release.origins import Covariates, Database, Generator, Network, Origin, Origins, PublishedFile
from brownid.weights.catalogue import model_at, read_catalogue, same_path


def release_origins(config: Mapping) -> Origins:
    """The origins of the datasets and networks of the release."""
    training = {name: tuple(config["training"][name]["datasets"]) for name in config["release"]["models"]}
    waiting = [*released_datasets(config), *(name for names in training.values() for name in names)]
    datasets: dict[str, Origin] = {}
    databases: set[str | None] = set()
    for name in waiting:  # grows
        if original(config, name) in config["databases"]:
            databases.add(name)
        elif name not in datasets:
            datasets[name] = origin = _origin(config, name)
            waiting += [other for other in (origin.references, origin.start, origin.gallery) if other]
    networks = {name: _network(config, name) for name in sorted({origin.network for origin in datasets.values()})}
    covariates = sorted({name for origin in datasets.values() for name in origin.covariates})
    databases |= {origin.leak_guard for origin in datasets.values()}
    databases |= {network.trained_on for network in networks.values()}
    databases |= {config["covariates"][name]["database"] for name in covariates}
    quality = config["quality"] or {}
    captured = paths.captured_benchmarks(config)
    return Origins(
        seed=config["seed"],
        datasets=datasets,
        generators={name: _generator(config, name) for name in sorted({each.generator for each in datasets.values()})},
        networks=networks,
        databases={name: _database(config, name) for name in sorted(name for name in databases if name)},
        covariates={name: _covariates(config, name) for name in covariates},
        training=training,
        rendered_benchmarks=tuple(name for name in paths.benchmarks_of(config, GROUPS[0]) if name in captured),
        judge=quality.get("judge"),
        genuine=quality.get("genuine"),
    )


def _origin(config: Mapping, dataset: str) -> Origin:
    references = namespace(config, dataset)
    source, varied = config["references"][references], config["variations"].get(original(config, dataset))
    entry = varied or source
    projection = None if varied else source["nuisance_projection"]
    used = [varied["covariates"]] if varied else [projection["covariates"]] if projection else []
    return Origin(
        algorithm=entry["algorithm"],
        references=references,
        generator=source["generator"],
        network=source["network"],
        covariates=tuple(name for name in used if name),
        start=None if varied else source["start"],
        gallery=None if varied else source.get("gallery"),
        leak_guard=None if varied else source["leak_guard"],
        guard_angle=None if varied or not source["leak_guard"] else source["settings"]["fixed_distance"],
        identities=None if varied else source["identities"],
    )


def _generator(config: Mapping, name: str) -> Generator:
    entry = config["generators"][name]
    family = entry.get("family") or entry["factory"]
    files = tuple(_file(config, path) for path in paths.generator_files(config, name))
    return Generator(family=family, procedural=family == "procedural", files=files)


def _network(config: Mapping, name: str) -> Network:
    entry = config["networks"][name]
    family, architecture = entry.get("family"), entry.get("architecture")
    known = [architecture] if architecture and architecture.startswith(str(family)) else [family, architecture]
    return Network(
        design=" ".join(filter(None, known)) or entry["factory"],
        template=entry["template"],
        weights=paths.weights(config, name),
        file=_file(config, entry["weights"]) if entry["weights"] else None,
        trained_on=None if entry["weights"] else entry.get("database"),
    )


def _database(config: Mapping, name: str) -> Database:
    root = config["databases"][original(config, name)]["root"]
    return Database(rendered=not root, folder=_file(config, root) if root else None)


def _covariates(config: Mapping, name: str) -> Covariates:
    roles = (role for key in ("weights", "linear") for role in paths.vgg16_file(config, name, key))
    return Covariates(config["covariates"][name]["database"], tuple(_file(config, path) for path in roles))


def _file(config: Mapping, path: str) -> PublishedFile:
    path = same_path(path)  # without the user's folders, where it lies in the working directory
    model = model_at(read_catalogue(config.get("models", {}).get("catalogue")), path)
    if model is None:
        return PublishedFile(path)
    return PublishedFile(path, model.what, model.source, model.licence, model.sha256)
