"""Align the images of a database and pack them into a shard."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.pack_database import pack_database

alignment = snakemake.config["databases"][snakemake.wildcards.database]["alignment"] or {}
pack_database(
    snakemake.params.settings,
    index=snakemake.input.index,
    shard=int(snakemake.wildcards.shard),
    shards=int(snakemake.wildcards.shards),
    images=snakemake.output.images,
    failures=snakemake.output.failures,
    detector=snakemake.config["detectors"].get(alignment.get("detector")),
)
