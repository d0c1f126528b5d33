"""The estimate counts the jobs that Snakemake would run."""

from conftest import TINY, pending

from brownid.configuration.loading import load_configuration
from brownid.configuration.merging import merged
from brownid.estimation.counting import job_counts


def test_the_estimated_jobs_are_those_of_a_dry_run(tmp_path):
    assert job_counts(load_configuration(merged([TINY]), files=False)) == pending(tmp_path)
