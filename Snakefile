"""From a face generator to a release data package: the stages, in the order in which they run."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

if not Path(str(workflow.current_basedir)).is_dir():
    sys.exit(
        "error: brownid must be a local clone, since its library is imported while the rules are read, but it stands at "
        f"{workflow.current_basedir}: clone it, and name CLONE/workflow/Snakefile as the module's `snakefile:`."
    )


# Snakemake would merge a --configfile into this one, entry by entry; a run is what its own configuration says, and no more.
# A working directory (--directory) that has a config/config.yaml runs that one, any other the project's.
if not workflow.config_settings.configfiles:
    default = Path("config/config.yaml")

    configfile: default if default.is_file() else Path(workflow.current_basedir) / default


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


if config["container"]:

    container: config["container"]


include: "workflow/rules/models.smk"
include: "workflow/rules/databases.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/covariates.smk"
include: "workflow/rules/references.smk"
include: "workflow/rules/hyperface.smk"
include: "workflow/rules/variations.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/release.smk"


complete_gpu_rules()


rule all:
    default_target: True
    input:
        products.targets(config),
    localrule: True


rule datasets:
    input:
        lambda w: wanted("datasets"),
    localrule: True


rule images:
    input:
        lambda w: wanted("images"),
    localrule: True


rule scores:
    input:
        lambda w: wanted("scores"),
    localrule: True


rule development:
    input:
        lambda w: wanted("development"),
    localrule: True


rule figures:
    input:
        lambda w: wanted("figures"),
    localrule: True


rule release:
    input:
        lambda w: wanted("release"),
    localrule: True
