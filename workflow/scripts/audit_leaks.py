"""List and show the references that are closest to the training set."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.audit_leaks import audit_leaks

audit_leaks(
    snakemake.params.settings,
    references=snakemake.input.references,
    guarded=next(iter(snakemake.input.guarded), None),
    reference_images=snakemake.input.reference_images,
    guarded_images=snakemake.input.guarded_images,
    table=snakemake.output.table,
    figure=snakemake.output.figure,
)
