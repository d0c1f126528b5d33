"""Index the images of a database."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.index_database import index_database

index_database(
    snakemake.params.settings,
    manifest=next(iter(snakemake.input.manifest), None),
    files={key: snakemake.input[key] for key in ("index", "lists", "metadata", "landmarks")},
    index=snakemake.output.index,
)
