"""Train an FR network on image shards, for the dynamics or to measure a dataset."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.train_recognition import train_recognition

train_recognition(
    snakemake.params.settings,
    images=snakemake.input.images,
    weights=snakemake.output.weights,
    checkpoint=snakemake.output.checkpoint,
    history=snakemake.output.history,
    command=snakemake.output.command,
    batch=snakemake.output.batch,
    state=snakemake.params.state,
    code=snakemake.params.code,
    threads=snakemake.threads,
)
