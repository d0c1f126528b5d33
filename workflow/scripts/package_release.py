"""Package the release."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads)

from brownid.jobs.release import package_release

package_release(
    snakemake.params.settings,
    manifest=snakemake.output.manifest,
)
