"""Verify the release package as its reader would."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.verify_release import verify_release

verify_release(manifest=snakemake.input.manifest, verified=snakemake.output.verified)
