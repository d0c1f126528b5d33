"""Join the shards of a variations entry."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.merge_variations import merge_variations

merge_variations(
    snakemake.params.settings,
    shard_samples=snakemake.input.samples,
    shard_statistics=snakemake.input.statistics,
    references=snakemake.input.references,
    inputs=[
        snakemake.input.references,
        snakemake.input.weights,
        *snakemake.input.covariates,
        *snakemake.input.generator,
    ],
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    command=snakemake.output.command,
)
