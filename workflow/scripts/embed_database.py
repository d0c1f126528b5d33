"""Embed the images of a database."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.embed_database import embed_database

embed_database(
    snakemake.params.settings,
    images=snakemake.input.images,
    weights=snakemake.input.weights,
    samples=snakemake.output.samples,
    failures=snakemake.output.failures,
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
)
