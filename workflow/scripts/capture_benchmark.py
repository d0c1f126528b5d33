"""Photograph the embedded world as a verification benchmark."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.capture_benchmark import capture_benchmark

capture_benchmark(
    snakemake.params.settings,
    benchmark=snakemake.output.benchmark,
)
