"""Project the images of a controlled capture into latent space."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.project_database import project_database

project_database(
    snakemake.params.settings,
    index=snakemake.input.index,
    weights=snakemake.input.weights,
    warm_start=snakemake.input.warm_start,
    shard=int(snakemake.wildcards.shard),
    shards=int(snakemake.wildcards.shards),
    samples=snakemake.output.samples,
    failures=snakemake.output.failures,
)
