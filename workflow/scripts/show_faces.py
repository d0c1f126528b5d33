"""Show some faces of a dataset."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.show_faces import show_faces

show_faces(
    snakemake.params.settings,
    images=snakemake.input.images,
    figure=snakemake.output.figure,
)
