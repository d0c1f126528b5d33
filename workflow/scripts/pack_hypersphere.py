"""Pack the identities of a references entry on the hypersphere."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.pack_hypersphere import pack_hypersphere

pack_hypersphere(
    snakemake.params.settings,
    start=snakemake.input.start[0],
    gallery=snakemake.input.gallery[0],
    samples=snakemake.output.samples,
    statistics=snakemake.output.statistics,
    command=snakemake.output.command,
    state=snakemake.params.state,
    code=snakemake.params.code,
    saving=snakemake.config["saving"],
    processes=snakemake.config["references"][snakemake.wildcards.references]["processes"],
    launcher=snakemake.config["launcher"],
)
