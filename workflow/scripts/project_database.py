"""Project the images of a controlled capture into latent space."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.project_database import project_database

entry = snakemake.config["covariates"][snakemake.wildcards.covariates]
alignment = snakemake.config["databases"][entry["database"]]["alignment"] or {}
project_database(
    snakemake.params.settings,
    index=snakemake.input.index,
    weights=snakemake.input.weights,
    warm_start=next(iter(snakemake.input.warm_start), None),
    shard=int(snakemake.wildcards.shard),
    shards=int(snakemake.wildcards.shards),
    samples=snakemake.output.samples,
    failures=snakemake.output.failures,
    vgg16=next(iter(snakemake.input.vgg16), None),
    vgg16_linear=next(iter(snakemake.input.vgg16_linear), None),
    detector=snakemake.config["detectors"].get(alignment.get("detector")),
    batch_size=entry["batch_size"],
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
)
