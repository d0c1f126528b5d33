"""Embed the images of a database."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.databases import embed_database

embed_database(
    snakemake.params.settings,
    images=snakemake.input.images,
    weights=snakemake.input.weights,
    samples=snakemake.output.samples,
)
