"""Compare datasets and covariates with the ground truth of the embedded world."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.measure_controls import measure_controls

measure_controls(
    snakemake.params.settings,
    samples=dict(zip(snakemake.params.settings["datasets"], snakemake.input.samples, strict=True)),
    covariates=dict(zip(snakemake.params.settings["covariates"], snakemake.input.covariates, strict=True)),
    weights=dict(zip(snakemake.params.settings["networks"], snakemake.input.weights, strict=True)),
    table=snakemake.output.table,
)
