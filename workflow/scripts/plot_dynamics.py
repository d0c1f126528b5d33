"""Plot the statistics of a run of the dynamics."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.plot_dynamics import plot_dynamics

plot_dynamics(
    snakemake.params.settings,
    statistics=snakemake.input.statistics,
    figure=snakemake.output.figure,
)
