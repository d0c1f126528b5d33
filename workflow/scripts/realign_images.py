"""Move the images of one shard of a dataset to another alignment template."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.realign_images import realign_images

realign_images(
    snakemake.params.settings,
    source=snakemake.input.images,
    images=snakemake.output.images,
)
