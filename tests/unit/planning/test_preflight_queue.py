"""A run does not start beside the jobs of an earlier one, nor on a cluster that does not answer or is another."""

import pytest

from brownid.planning.queue import check_start, jobs_below
from brownid.runtime.errors import BrownidError


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Write `squeue` and `sinfo` that say something, and end with a status."""

    def answers(queue="", partitions="cpu\ngpu\n", status=0):
        for name, text in (("squeue", queue), ("sinfo", partitions)):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {status}\n")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    return answers


def test_jobs_of_an_earlier_run_in_this_folder_stop_the_start(slurm, tmp_path):
    slurm(f"7|rule_train_wildcards_a|{tmp_path}\n8|rule_train|/elsewhere\n9|(null)|{tmp_path}\n")
    assert jobs_below(tmp_path) == ["7"]
    with pytest.raises(BrownidError, match=r"1 jobs of an earlier run .* \(scancel 7\)"):
        check_start(tmp_path, "local", [])


def test_the_job_that_snakemake_itself_runs_in_does_not_count(slurm, tmp_path, monkeypatch):
    slurm(f"7|rule_train|{tmp_path}\n")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    check_start(tmp_path, "slurm", ["cpu"])


def test_a_partition_that_the_cluster_has_not_is_named(slurm, tmp_path):
    slurm()
    with pytest.raises(BrownidError, match="no partition fast; it has cpu, gpu"):
        check_start(tmp_path, "slurm", ["cpu", "fast"])


def test_a_slurm_that_does_not_answer_stops_jobs_for_it_only(slurm, tmp_path):
    slurm(status=1)
    check_start(tmp_path, "local", [])
    with pytest.raises(BrownidError, match="Slurm does not answer"):
        check_start(tmp_path, "slurm", [])


def test_without_slurm_only_its_own_executor_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_start(tmp_path, "local", [])
    with pytest.raises(BrownidError, match="squeue was not found"):
        check_start(tmp_path, "slurm", [])


def test_a_device_that_does_not_exist_is_named_before_any_job(tmp_path):
    check_start(tmp_path, "local", [], ["auto", "cpu"])
    with pytest.raises(BrownidError, match="device is 'gpu', but must be one of auto, cpu"):
        check_start(tmp_path, "local", [], ["auto", "gpu"])
