"""Learn where the projection of an image starts."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.fit_warm_start import fit_warm_start

fit_warm_start(
    snakemake.params.settings,
    weights=snakemake.input.weights,
    warm_start=snakemake.output.warm_start,
    batch_size=snakemake.config["covariates"][snakemake.wildcards.covariates]["batch_size"],
)
