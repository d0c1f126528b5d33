"""Photograph the embedded world as a genuine database."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.capture_database import capture_database

capture_database(
    snakemake.params.settings,
    manifest=snakemake.output.manifest,
)
