"""The checked configuration, the settings of each stage, the fingerprint of its code."""

import sys
from inspect import signature
from pathlib import Path

PROJECT = Path(workflow.current_basedir).parents[1]
LIBRARY = PROJECT / "workflow" / "scripts"
sys.path.insert(0, str(LIBRARY))

from brownid.configuration import paths, products, stages
from brownid.configuration import report as reported
from brownid.configuration.fingerprint import families_of, fingerprint
from brownid.configuration.datasets import DATASETS
from brownid.configuration.links import GROUPS
from brownid.configuration.loading import anchor_own_paths, load_configuration
from brownid.configuration.loading import override
from brownid.runtime.errors import BrownidError
from brownid.planning.queue import check_start
from brownid.planning.summary import summary
from brownid.runtime.process import prepare_snakemake, set_process_environment
from brownid.runtime.text import read_yaml

# As a module of another Snakefile (`module brownid: …`) the rules have the configuration that it gives, and with `prefix:`
# another place for all relative paths: for those in params too, which Snakemake leaves alone, but not for the user's files.
IMPORTED = workflow.modifier.namespace is not None
PREFIX = workflow.modifier.path_modifier.prefix or ""

CAPTIONS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((PROJECT / "workflow/report").glob("*.rst"))
}

set_process_environment()
try:
    prepare_snakemake(PROJECT)
    if not IMPORTED:
        for file in workflow.configfiles:
            read_yaml(file)  # Snakemake ignores repeated keys; this is an error
        config = override(config, workflow.config_settings.config_args)
    config = load_configuration(config)
    if PREFIX:
        if config["models"]["fetch"]:
            raise BrownidError(
                "models.fetch cannot be used with `prefix:`, which would move the fetched files: fetch them first, by "
                "`brownid models fetch`."
            )
        anchor_own_paths(config)
except BrownidError as error:
    sys.exit(f"error: {error}")  # the message without a traceback


wildcard_constraints:
    database=paths.alternatives(config, "databases"),
    network=paths.alternatives(config, "networks"),
    covariates=paths.alternatives(config, "covariates"),
    references=paths.alternatives(config, "references"),
    variations=paths.alternatives(config, "variations"),
    training=paths.alternatives(config, "training"),
    benchmark=paths.alternatives(config, "benchmarks"),
    realigned=paths.alternatives(config, "realigned"),
    dataset=paths.alternatives(config, "references", "variations"),
    model=paths.one_of(paths.models(config)),
    seed=r"0|[1-9]\d*",
    group=paths.one_of(list(GROUPS)),
    shard=r"\d+",
    shards=r"\d+",
    template=r"[a-z_]+",
    image_size=r"\d+",


def settings(rule):
    """The settings of a rule for the entries that its wildcards name; see brownid.configuration.stages."""
    stage = getattr(stages, rule)
    _, *names = signature(stage).parameters
    return lambda w: stages.placed(
        stages.sorted_keys(stage(config, *(w[name] for name in names))), PREFIX
    )


def code(rule, environment, script=None):
    """The fingerprint of workflow/scripts/SCRIPT.py, named as the rule unless given, in envs/ENVIRONMENT.yaml.

    It covers the families and algorithms that the settings of the rule name.
    """
    chosen = settings(rule) if hasattr(stages, rule) else lambda w: None
    return lambda w: fingerprint(
        LIBRARY / f"{script or rule}.py",
        PROJECT / f"envs/{environment}.yaml",
        LIBRARY,
        families_of(chosen(w)),
        kept=".snakemake/fingerprints",
    )


def wanted(target):
    """The files of a target other than the default one; a message without a traceback where it has none."""
    try:
        return products.named_target(config, target)
    except BrownidError as error:
        sys.exit(f"error: {error}")


def processes(w):
    """The number of processes, and of GPUs, that share a references entry."""
    return config["references"][w.references]["processes"]


def training_processes(w):
    """The number of processes, and of GPUs, that share the batches of a training entry."""
    return config["training"][w.training]["processes"]


def network_processes(w):
    """The number of processes, and of GPUs, that share the batches of the training of a networks entry."""
    return config["networks"][w.network]["processes"]


def growing(amount):
    """An amount of memory or time that grows with each attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def complete_gpu_rules():
    """Give every rule that asks for a GPU what set-resources and set-threads have under `gpu_rules`.

    What they have under a rule's name wins, and so do the threads of a rule that has more than one of its own; each of
    several processes of FR training has as many.
    """
    wanted = workflow.resource_settings._parsed_overwrite_resources
    threads = workflow.resource_settings._parsed_overwrite_threads
    for found in workflow.rules:
        if "gpu" in found.resources:
            found.resources.update(wanted.get("gpu_rules", {}))
            found.resources.update(wanted.get(found.name, {}))
            own = found.resources["_cores"].raw
            if "gpu_rules" in threads and found.name not in threads and own == 1:
                found.resources["_cores"] = threads["gpu_rules"]
            elif (
                own in (training_processes, network_processes)
                and "gpu_rules" in threads
                and found.name not in threads
            ):
                found.resources["_cores"] = lambda w, own=own: threads[
                    "gpu_rules"
                ] * own(w)


onstart:
    try:
        check_start(
            workflow.workdir_init,
            workflow.executor_plugin.name,
            {job.resources.get("slurm_partition") for job in workflow.dag.jobs}
            - {None},
            {job.resources.get("device", "auto") for job in workflow.dag.jobs},
        )
    except BrownidError as error:
        sys.exit(f"error: {error}")


onsuccess:
    here = Path.cwd() == Path(workflow.workdir_init)
    made = {str(file) for job in workflow.dag.jobs for file in job.output}
    logger.info(summary(Path() if here else Path.cwd(), made))
