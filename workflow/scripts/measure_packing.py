"""Measure how much of a packing on the hypersphere survives in the rendered images."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.measure_packing import measure_packing

measure_packing(
    snakemake.params.settings,
    start=snakemake.input.start[0],
    targets=snakemake.input.targets,
    statistics=snakemake.input.statistics,
    samples=snakemake.input.samples,
    images=snakemake.input.images,
    weights=snakemake.input.weights,
    table=snakemake.output.table,
    figure=snakemake.output.figure,
    iterations=snakemake.output.iterations,
)
