"""Plot the angles within and between the identities of a dataset."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.plot_distances import plot_distances

plot_distances(
    snakemake.params.settings,
    references=snakemake.input.references,
    variations=snakemake.input.variations,
    guarded=next(iter(snakemake.input.guarded), None),
    figure=snakemake.output.figure,
    table=snakemake.output.table,
)
