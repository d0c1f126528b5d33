"""Train an FR network on image shards, for the dynamics or to measure a dataset."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.training import train_recognition

train_recognition(
    snakemake.params.settings,
    images=snakemake.input.images,
    weights=snakemake.output.weights,
    checkpoint=snakemake.output.checkpoint,
    history=snakemake.output.history,
    command=snakemake.output.command,
    batch=snakemake.output.batch,
    state=f"{snakemake.params.state}/{snakemake.params.code}",
    threads=snakemake.threads,
)
