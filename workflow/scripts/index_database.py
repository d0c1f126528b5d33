"""Index the images of a database."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.databases import index_database

index_database(
    snakemake.params.settings,
    index=snakemake.output.index,
)
