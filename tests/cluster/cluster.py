"""The Slurm cluster that `sinfo` reaches, the profile as it is for it, and Snakemake sending jobs there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
TINY = PROJECT / "tests" / "tiny.yaml"
LANGEVIN = {"algorithm": "langevin", "network": "steering", "identities": 6, "settings": {"iterations": 6}}
FIELDS = "JobID:|,State:|,Partition:|,NodeList:|,tres-per-job:|,MinMemory:|,Reason:|,Comment:200|,WorkDir:300"
SECONDS_BETWEEN_LOOKS = 20  # Slurm forgets jobs that have ended, after 120 s or more (MinJobAge)


class Job(NamedTuple):
    """A job as squeue tells of it."""

    id: int
    state: str
    partition: str
    node: str
    gpus: int
    memory: str
    reason: str  # why it waits
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


def memory_is_not_enforced():
    """Why jobs that take more memory than they asked for are not ended here; None where they are."""
    settings = said("scontrol", "show", "config")
    if re.search(r"JobAcctGatherParams.*OverMemoryKill", settings):
        return None
    if re.search(r"TaskPlugin .*cgroup", settings) and re.search(r"ConstrainRAMSpace\s*=\s*yes", settings):
        return None
    return "this Slurm does not end jobs above their memory (OverMemoryKill, or ConstrainRAMSpace with task/cgroup)"


def two_nodes_of_two_gpus():
    """The GPU nodes, where they are two idle ones with two GPUs each and this is what one can hold."""
    rows = said("sinfo", "--noheader", "--Node", "--format=%N %G %t").splitlines()
    nodes = {name: (gpus, state) for name, gpus, state in map(str.split, rows) if "gpu" in gpus}
    fit = [name for name, (gpus, state) in nodes.items() if re.search(r"gpu:(\w+:)?2\b", gpus) and state == "idle"]
    return sorted(fit) if len(fit) == len(nodes) == 2 else []


def hold_a_gpu(node):
    """A job that holds one GPU of a node: its id."""
    options = ["--parsable", f"--partition={gpu_partitions()[0]}", f"--nodelist={node}", "--gpus=1", "--mem=10"]
    return said("sbatch", *options, "--output=/dev/null", "--time=30", "--wrap=sleep 1800").strip()


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
    if profile["set-resources"]["gpu_rules"]["slurm_partition"] not in there:
        profile["set-resources"]["gpu_rules"]["slurm_partition"] = gpu_partitions()[0]
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
    with TemporaryFile("w+") as said_here:
        status = wait_for_end(subprocess.Popen(line, stdout=said_here, stderr=subprocess.STDOUT, env=environment()))
        said_here.seek(0)
        return status, said_here.read()


def start_snakemake(directory, profile, *arguments, **options):
    """Start Snakemake; what it says goes to DIRECTORY/said.txt."""
    line = command(directory, profile, *arguments, **options)
    with open(directory / "said.txt", "w") as said_there:
        return subprocess.Popen(line, stdout=said_there, stderr=subprocess.STDOUT, env=environment())


def wait_for_end(process):
    """The exit status of Snakemake; its jobs are looked at meanwhile, while Slurm knows of them."""
    end = time.monotonic() + 1200
    while time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=SECONDS_BETWEEN_LOOKS)
        look()
    kill_hard(process)
    raise AssertionError("Snakemake did not end in 20 minutes")


def kill_hard(process):
    """As a crash of the login node would: nothing is cleaned up."""
    process.send_signal(signal.SIGKILL)
    process.wait()


_seen = {}  # job id: (working directory, job)


def look():
    """Note what squeue says about all jobs of rules."""
    rows = said("squeue", "--noheader", "--states=all", f"--Format={FIELDS}").splitlines()
    for row in rows:
        cells = [cell.strip() for cell in row.split("|")]
        named = re.fullmatch(r"rule_(\w+?)(?:_wildcards_(.*))?", cells[7])
        if named is None:
            continue
        gpus = re.search(r"gpu(?::[^:,]+)*?:(\d+)", cells[4])
        counted = (int(gpus[1]) if gpus else 0, cells[5], cells[6])
        _seen[int(cells[0])] = (Path(cells[8]), Job(int(cells[0]), *cells[1:4], *counted, named[1], named[2] or ""))


def jobs(directory, states=None):
    """The jobs that were sent from a working directory, oldest first; those in `states` alone, where given."""
    look()
    found = [job for place, job in _seen.values() if place == Path(directory).resolve()]
    return sorted(job for job in found if states is None or job.state in states)


def rule_counts(some_jobs):
    return dict(Counter(job.rule for job in some_jobs))


def reduced(path):
    """Write the tiny configuration without MultiPIE, judge, packings and re-alignment, over half of the jobs."""
    config = yaml.safe_load(TINY.read_text())
    for section, name in (("databases", "multipie"), ("references", "packed"), ("variations", "packed_varied")):
        del config[section][name]
    del config["covariates"], config["realigned"], config["quality"], config["networks"]["judge"]
    del config["references"]["moved"]["nuisance_projection"], config["release"]["training_sets"]
    varied = config["variations"]["varied"]
    varied |= {"algorithm": "dispersion"}
    del varied["covariates"]
    config["training"]["fr_varied"]["datasets"] = config["release"]["datasets"] = ["moved", "varied"]
    path.write_text(yaml.safe_dump(config))
    return path


def with_accidents(configfile, directory, processes=2, **kinds):
    """A configuration of Langevin runs that are equal but for the accidents that happen to them; see held_world.

    The one that is called "shared" is in several `processes`.
    """
    overlay = {"saving": {"iterations": 1}, "generators": {}, "references": {}}
    for name, kind in kinds.items():
        accident = kind if kind == "none" else f"{kind} {directory / name}"
        held = {"factory": "held_world:world", "latent_dim": 128, "image_size": 32, "accident": accident}
        overlay["generators"][f"world_{name}"] = held
        overlay["references"][name] = {**LANGEVIN, "generator": f"world_{name}"}
    if "shared" in kinds:
        overlay["references"]["shared"]["processes"] = processes
    path = directory / "accidents.yaml"
    path.write_text(yaml.safe_dump(overlay))
    return (configfile, path)


def wait_for(condition, seconds=240):
    """What `condition` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {condition}")
