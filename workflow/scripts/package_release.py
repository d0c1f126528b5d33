"""Package the release."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.package_release import package_release

package_release(
    snakemake.params.settings,
    manifest=snakemake.output.manifest,
)
