"""The tiny configuration through sbatch: a sound release, every job where it belongs, none too many afterwards."""

import re

import pytest
from cluster import PROJECT, gpu_partitions, jobs, rule_counts, snakemake

from brownid.release.verify import verify


def rules_with_a_gpu():
    text = "".join(path.read_text() for path in (PROJECT / "workflow/rules").glob("*.smk"))
    return {rule.split(":")[0] for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:] if "gpu=" in rule}


def test_the_release_made_on_the_cluster_is_sound(finished):
    assert verify(finished / "results/release/tiny") == []


def test_every_job_was_sent_once_and_completed(finished):
    sent = jobs(finished)
    assert len({job.name for job in sent}) == len(sent) > 15
    assert {job.state for job in sent} == {"COMPLETED"}


def test_jobs_with_a_gpu_run_on_gpu_nodes_and_no_others(finished):
    for job in jobs(finished):
        if job.rule in rules_with_a_gpu():
            assert job.gpus == 1 and job.partition in gpu_partitions(), job
        else:
            assert job.gpus == 0 and job.partition not in gpu_partitions(), job


def test_a_job_with_a_gpu_sees_the_one_that_it_was_given(finished):
    log = (finished / "logs/train_recognition/fr_varied/seed_1.log").read_text()
    assert re.search(r"Slurm job \d+ on \S+, GPUs (\d+), visible \d", log), log


def test_what_sbatch_said_is_kept_below_logs(finished):
    for job in jobs(finished):
        assert len(list((finished / "logs/slurm" / f"rule_{job.rule}").rglob(f"{job.id}.log"))) == 1, job


def test_a_finished_run_sends_nothing(finished, profile, configfile):
    before = jobs(finished)
    status, said = snakemake(finished, profile, configfiles=(configfile,))
    assert status == 0 and "Nothing to be done" in said, said
    assert jobs(finished) == before


@pytest.mark.nightly
def test_a_changed_value_sends_exactly_the_jobs_that_use_it(finished, profile, configfile, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("audit: {pairs: 4}")
    before = len(jobs(finished))
    status, said = snakemake(finished, profile, configfiles=(configfile, overlay))
    assert status == 0, said
    assert rule_counts(jobs(finished)[before:]) == {"audit_leaks": 1, "package_release": 1, "verify_release": 1}
