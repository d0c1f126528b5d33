"""Draw and embed the random faces that a packing begins with."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.embed_faces import embed_faces

embed_faces(
    snakemake.params.settings,
    weights=snakemake.input.weights,
    samples=snakemake.output.samples,
    batch_size=snakemake.config["references"][snakemake.wildcards.references]["batch_size"],
)
