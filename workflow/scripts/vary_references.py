"""Vary the identities of one shard of a variations entry."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.vary_references import vary_references

vary_references(
    snakemake.params.settings,
    references=snakemake.input.references,
    weights=snakemake.input.weights,
    covariates=next(iter(snakemake.input.covariates), None),
    shard=int(snakemake.wildcards.shard),
    shards=int(snakemake.wildcards.shards),
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    batch_size=snakemake.config["variations"][snakemake.wildcards.variations]["batch_size"],
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
)
