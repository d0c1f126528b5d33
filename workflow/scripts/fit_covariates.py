"""Fit the covariates on projected latents."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.fit_covariates import fit_covariates

fit_covariates(
    snakemake.params.settings,
    shard_samples=snakemake.input.samples,
    shard_failures=snakemake.input.failures,
    index=snakemake.input.index,
    covariates=snakemake.output.covariates,
    summary=snakemake.output.summary,
    failures=snakemake.output.failures,
)
