"""The Slurm cluster that `sinfo` reaches, the profile as it is for it, and Snakemake sending jobs there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
TINY = PROJECT / "tests" / "tiny.yaml"
LANGEVIN = {"algorithm": "langevin", "network": "off_the_shelf", "identities": 6, "settings": {"iterations": 6}}
FIELDS = "JobID:|,State:|,Partition:|,NodeList:|,tres-per-job:|,MinMemory:|,Comment:200|,WorkDir:300"


class Job(NamedTuple):
    """A job as squeue tells of it."""

    id: int
    state: str
    partition: str
    node: str
    gpus: int
    memory: str
    rule: str
    wildcards: str

    @property
    def name(self):
        return f"{self.rule} {self.wildcards}".strip()


def reason_to_skip():
    """Why there is no cluster to test on; None where there is one."""
    if shutil.which("sinfo") is None:
        return "there is no Slurm here (no sinfo)"
    done = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, timeout=60)
    if done.returncode or not done.stdout.strip():
        return f"Slurm does not answer: {done.stderr.strip()}"
    if not gpu_partitions():
        return "this Slurm has no partition with GPUs (sinfo -o %G)"
    return None


def gpu_partitions():
    """The partitions that have a node with GPUs."""
    rows = said("sinfo", "--noheader", "--format=%R %G").splitlines()
    return sorted({row.split()[0] for row in rows if "gpu" in row.split()[1]})


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def write_profile(folder, **changes):
    """profiles/slurm as it is, but impatient, without conda, on the CPU, and with partitions that this cluster has.

    `changes` are then laid over it, entry by entry.
    """
    profile = yaml.safe_load((PROJECT / "profiles/slurm/config.yaml").read_text())
    for key in ("software-deployment-method", "conda-prefix"):
        profile.pop(key, None)
    there = set(said("sinfo", "--noheader", "--format=%R").split())
    if profile["default-resources"]["slurm_partition"] not in there:
        profile["default-resources"]["slurm_partition"] = sorted(there - set(gpu_partitions()) or there)[0]
    profile["default-resources"]["device"] = "cpu"  # GPUs may be counted that are not there; results are compared
    for rule in profile["set-resources"].values():
        if rule["slurm_partition"] not in there:
            rule["slurm_partition"] = gpu_partitions()[0]
    profile |= {"slurm-init-seconds-before-status-checks": 1, "latency-wait": 20}
    profile.pop("max-jobs-per-timespan")
    profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
    for key, entries in changes.items():
        for name, value in entries.items():
            before = profile[key].get(name)
            profile[key][name] = {**before, **value} if isinstance(before, dict) else value
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))
    return folder


def command(directory, profile, *arguments, configfiles=(TINY,)):
    line = [sys.executable, HERE / "impatient_snakemake.py", "--snakefile", PROJECT / "Snakefile"]
    line += ["--directory", directory, "--profile", profile, *arguments, "--configfile", *configfiles]
    return list(map(str, line))


def environment():
    paths = [str(HERE), os.environ.get("PYTHONPATH")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def snakemake(directory, profile, *arguments, **options):
    """Run Snakemake to its end; returns status and what it said."""
    line = command(directory, profile, *arguments, **options)
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=1200)
    return done.returncode, done.stdout + done.stderr


def start_snakemake(directory, profile, *arguments, **options):
    """Start Snakemake; what it says goes to DIRECTORY/said.txt."""
    line = command(directory, profile, *arguments, **options)
    with open(directory / "said.txt", "w") as said_there:
        return subprocess.Popen(line, stdout=said_there, stderr=subprocess.STDOUT, env=environment())


def kill_hard(process):
    """As a crash of the login node would: nothing is cleaned up."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def jobs(directory, states="all"):
    """The jobs that were sent from a working directory, oldest first."""
    rows = said("squeue", "--noheader", f"--states={states}", f"--Format={FIELDS}").splitlines()
    found = []
    for row in rows:
        cells = [cell.strip() for cell in row.split("|")]
        named = re.fullmatch(r"rule_(\w+?)(?:_wildcards_(.*))?", cells[6])
        if named is None or Path(cells[7]) != Path(directory).resolve():
            continue
        gpus = re.search(r"gpu(?::[^:,]+)*?:(\d+)", cells[4])
        found.append(Job(int(cells[0]), *cells[1:4], int(gpus[1]) if gpus else 0, cells[5], named[1], named[2] or ""))
    return sorted(found)


def rule_counts(some_jobs):
    return dict(Counter(job.rule for job in some_jobs))


def with_accidents(directory, **kinds):
    """A configuration of Langevin runs that are equal but for the accidents that happen to them; see held_world."""
    overlay = {"saving": {"iterations": 1}, "generators": {}, "references": {}}
    for name, kind in kinds.items():
        accident = kind if kind == "none" else f"{kind} {directory / name}"
        held = {"factory": "held_world:world", "latent_dim": 128, "side": 32, "accident": accident}
        overlay["generators"][f"world_{name}"] = held
        overlay["references"][name] = {**LANGEVIN, "generator": f"world_{name}"}
    overlay["references"]["shared"] = {**LANGEVIN, "generator": f"world_{next(iter(kinds))}", "processes": 2}
    path = directory / "accidents.yaml"
    path.write_text(yaml.safe_dump(overlay))
    return (TINY, path)


def wait_for(condition, seconds=240):
    """What `condition` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {condition}")
