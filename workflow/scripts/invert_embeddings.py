"""Find latents for the packed embeddings of a references entry."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.invert_embeddings import invert_embeddings

invert_embeddings(
    snakemake.params.settings,
    targets=snakemake.input.targets,
    packing_statistics=snakemake.input.packing_statistics,
    faces=next(iter(snakemake.input.faces), None),
    weights=snakemake.input.weights,
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    command=snakemake.output.command,
    table=snakemake.output.table,
    batch_size=snakemake.config["references"][snakemake.wildcards.references]["batch_size"],
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
    processes=snakemake.config["references"][snakemake.wildcards.references]["processes"],
    launcher=snakemake.config["launcher"],
)
