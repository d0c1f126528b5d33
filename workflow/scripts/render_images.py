"""Render and align the images of one shard of a dataset."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.render_images import render_images

render_images(
    snakemake.params.settings,
    samples=snakemake.input.samples,
    shard=int(snakemake.wildcards.shard),
    shards=int(snakemake.wildcards.shards),
    images=snakemake.output.images,
)
