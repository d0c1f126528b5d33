"""Fetch a published file from its address."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.fetch_model import fetch_model

fetch_model(snakemake.output.model, catalogue=snakemake.config["models"]["catalogue"])
