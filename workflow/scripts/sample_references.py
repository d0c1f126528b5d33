"""Sample the identities of a references entry."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.sample_references import sample_references

sample_references(
    snakemake.params.settings,
    weights=snakemake.input.weights,
    start=next(iter(snakemake.input.start), None),
    guarded=next(iter(snakemake.input.guarded), None),
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    command=snakemake.output.command,
)
