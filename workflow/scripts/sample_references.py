"""Sample the identities of a references entry."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.sample_references import sample_references

sample_references(
    snakemake.params.settings,
    weights=snakemake.input.weights,
    start=next(iter(snakemake.input.start), None),
    guarded=next(iter(snakemake.input.guarded), None),
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    command=snakemake.output.command,
    batch_size=snakemake.config["references"][snakemake.wildcards.references]["batch_size"],
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
    processes=snakemake.config["references"][snakemake.wildcards.references]["processes"],
    launcher=snakemake.config["launcher"],
)
