"""`brownid accept`: results of older code are kept exactly as asked, and nothing else is."""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from conftest import PROJECT, TINY, pending
from snakemake.cli import args_to_api, parse_args
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence
from typer.testing import CliRunner

from brownid.cli import app
from brownid.jobs.resume import StateFile, state_path
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples.provenance import ACCEPTED, read_command, write_command
from brownid.upgrade.acceptance import accept_results
from brownid.upgrade.renames import Renames

# A workflow of three stages, which takes its names, settings and fingerprints from the configuration.
SMALL = """
rule all:
    input:
        "results/table.txt",

rule:
    name: config["sample"]
    output:
        samples=f"results/{config['folder']}/{{name}}/samples.txt",
        command=f"results/{config['folder']}/{{name}}/command.yml",
    log:
        f"logs/{config['sample']}/{{name}}.log",
    params:
        state=f"results/state/{config['folder']}/{{name}}",
        settings=lambda w: config["settings"],
        code=lambda w: config["codes"][0],
    shell:
        "echo sampled > {output.samples}; cp template.yml {output.command}; echo done > {log}"

rule vary:
    input:
        f"results/{config['folder']}/one/samples.txt",
    output:
        "results/variations.txt",
    params:
        code=config["codes"][1],
    shell:
        "cp {input} {output}"

rule tabulate:
    input:
        "results/variations.txt",
        f"results/{config['folder']}/one/command.yml",
    output:
        "results/table.txt",
    params:
        code=config["codes"][2],
    shell:
        "cat {input} > {output}"
"""
OLD = {
    "sample": "sample",
    "folder": "people",
    "settings": {"network": {"width": 112}, "iterations": 3},
    "codes": ["a" * 16, "b" * 16, "c" * 16],
}
SAMPLES, COMMAND = "results/people/one/samples.txt", "results/people/one/command.yml"


class Small:
    """A finished run of the small workflow, and the configuration that it has now."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "config.yaml"
        (folder / "Snakefile").write_text(SMALL)
        shutil.copytree(PROJECT / "profiles/default", folder / "profiles/default")
        write_command(folder / "template.yml", settings=OLD["settings"], seed=1, inputs={})
        self.configure()
        words = [
            "--snakefile",
            folder / "Snakefile",
            "--directory",
            folder,
            "--cores",
            "1",
            "--configfile",
            self.config,
        ]
        parser, parsed = parse_args([*map(str, words), "--quiet", "all"])
        assert args_to_api(parsed, parser)

    def configure(self, **changes):
        self.config.write_text(yaml.safe_dump(OLD | changes))

    def accept(self, *stages, **options):
        return accept_results([self.config], directory=self.folder, project=self.folder, stages=stages, **options)

    def pending(self):
        return pending(self.folder, project=self.folder, configfiles=(self.config,))


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def rules(results):
    return dict(Counter(result.job.rule for result in results))


def new_codes(*places):
    return [
        number * 16 if place in places else old
        for place, (number, old) in enumerate(zip("123", OLD["codes"], strict=True))
    ]


def test_exactly_the_results_of_the_named_stages_are_accepted(small):
    small.configure(codes=new_codes(0, 2))
    assert small.pending() == {"sample": 1, "vary": 1, "tabulate": 1}
    done = small.accept("sample")
    assert rules(done.accepted) == {"sample": 1}
    assert rules(done.running) == small.pending() == {"tabulate": 1}
    assert small.accept(every=True).running == []
    assert small.pending() == {}


def test_a_dry_run_says_what_would_be_accepted_and_run_and_changes_nothing(small):
    small.configure(codes=new_codes(0, 1, 2))
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in small.folder.rglob("*.*") if path.is_file()
    }
    done = small.accept("sample", "tabulate", dry_run=True)
    assert rules(done.accepted) == {"sample": 1, "tabulate": 1} and rules(done.running) == {"vary": 1, "tabulate": 1}
    assert all((path.stat().st_mtime_ns, path.read_bytes()) == kept for path, kept in before.items())
    small.accept("sample", "tabulate")
    assert small.pending() == rules(done.running)


def test_data_files_stay_as_they_are_and_provenance_says_what_was_accepted(small):
    files = [small.folder / name for name in (SAMPLES, "results/variations.txt", "results/table.txt")]
    before = [(sha256(path), path.stat().st_mtime_ns) for path in files]
    small.configure(codes=new_codes(0))
    small.accept("sample")
    small.accept("sample")  # says nothing twice
    assert [(sha256(path), path.stat().st_mtime_ns) for path in files] == before
    command = read_command(small.folder / COMMAND)
    assert command["settings"] == OLD["settings"]
    [accepted] = command["accepted"]
    assert (accepted["code"], accepted["made_by"]) == ("1" * 16, "a" * 16)
    [entry] = yaml.safe_load((small.folder / ACCEPTED).read_text())
    assert entry["results"] == [SAMPLES, COMMAND] and entry.items() >= accepted.items()


def test_file_times_of_a_copy_do_not_undo_an_acceptance(small):
    small.configure(codes=new_codes(0))
    small.accept("sample")
    for age, name in enumerate(("results/table.txt", "results/variations.txt", SAMPLES, COMMAND)):
        os.utime(small.folder / name, (2_000_000_000 + age, 2_000_000_000 + age))
    assert small.pending() == {}


def test_other_settings_are_refused_unless_asked_for(small):
    small.configure(settings={"network": {"width": 112}, "iterations": 4}, codes=new_codes(0))
    done = small.accept(every=True)
    assert [result.differences for result in done.results if result.status == "settings"] == [
        ["settings.iterations is 3 there and 4 here"]
    ]
    assert rules(done.running) == small.pending() == {"sample": 1, "vary": 1, "tabulate": 1}
    small.accept(every=True, changed_settings=True)
    assert small.pending() == {}
    [accepted] = read_command(small.folder / COMMAND)["accepted"]
    assert accepted["other"] == ["settings.iterations is 3 there and 4 here"]


def lose(small):
    (small.folder / SAMPLES).unlink()


def interrupt(small):
    FilePersistence(path=small.folder / ".snakemake")._mark_incomplete(SAMPLES, None)


def truncate(small):
    (small.folder / SAMPLES).write_text("sam")


@pytest.mark.parametrize("damage", [lose, interrupt, truncate])
def test_partial_results_are_never_accepted(small, damage):
    small.configure(codes=new_codes(0))
    damage(small)
    done = small.accept(every=True, changed_settings=True)
    assert done.accepted == []
    assert rules(done.running) == small.pending() == {"sample": 1, "vary": 1, "tabulate": 1}


def test_a_result_whose_input_was_made_again_still_runs(small):
    small.configure(codes=new_codes(1))
    (small.folder / SAMPLES).write_text("other samples")
    done = small.accept("vary")
    assert rules(done.running) == small.pending() == {"vary": 1, "tabulate": 1}


RENAMES = Renames(
    [
        {
            "rules": {"sample": "draw"},
            "paths": {
                "results/people/{name}/": "results/identities/{name}/",
                "results/state/people/": "results/state/x/",
            },
            "keys": {"draw": {"settings.network.width": "image_size"}},
            "added": {"draw": {"settings.noise": 0.5}},
        },
        {"paths": {"results/state/x/": "results/state/identities/"}},
    ]
)
NEW = {
    "sample": "draw",
    "folder": "identities",
    "settings": {"iterations": 3, "network": {"image_size": 112}, "noise": 0.5},
}


def test_results_under_names_of_an_older_version_are_moved_and_accepted(small):
    small.configure(**NEW, codes=new_codes(0, 1, 2))
    planned = small.accept(every=True, dry_run=True, names=RENAMES)
    assert rules(planned.accepted) == {"draw": 1, "vary": 1, "tabulate": 1} and planned.running == []
    small.accept(every=True, names=RENAMES)
    assert small.pending() == {}
    assert not (small.folder / SAMPLES).exists() and (small.folder / "results/identities/one/samples.txt").exists()
    assert (small.folder / "logs/draw/one.log").exists() and not (small.folder / "results/people").exists()
    assert read_command(small.folder / "results/identities/one/command.yml")["accepted"]


def test_a_run_of_version_0_1_is_accepted_but_for_scores_which_had_no_persons_and_what_it_did_not_have(tmp_path):
    recorded = json.loads((PROJECT / "tests/workflow/version_0_1.json").read_text())  # the configuration as it is today
    config, persistence = tmp_path / "config.yaml", FilePersistence(path=tmp_path / ".snakemake")
    config.write_text(yaml.safe_dump(recorded["config"]))
    for job in recorded["jobs"]:
        for path in map(Path, job["outputs"]):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            if path.name == "command.yml":
                write_command(tmp_path / path, settings={}, seed=1, inputs={})
            else:
                (tmp_path / path).touch()
            os.utime(tmp_path / path, (1, 1))
            names = {"rule": job["rule"], "input": job["inputs"], "params": job["params"]}
            persistence._write_record(str(path), MetadataRecord(**names, endtime=1.0, record_format_version=6))
    done = accept_results([config], directory=tmp_path, every=True)
    again = {"capture_benchmark": 1, "score_model": 2, "tabulate_scores": 1, "package_release": 1, "verify_release": 1}
    again |= {
        "fit_within_class": 1,
        "show_within_class": 1,
        "export_training_set": 2,
        "build_gallery": 5,
        "write_report": 1,
    }
    assert rules(done.running) == again
    assert pending(tmp_path, configfiles=(config,)) == again


def interrupted_state(small, settings, code):
    owner = {"settings": settings, "code": code, "inputs": {"weights": "f" * 64}}
    state = StateFile(state_path(small.folder / "results/state/people/one", owner), owner).of_run(seed=1)
    state.save(7, {"latents": torch.arange(3.0)})
    return state


def test_interrupted_jobs_go_on_under_new_code_and_names(small):
    old = interrupted_state(small, OLD["settings"], "a" * 16)
    small.configure(**NEW, codes=new_codes(0))
    shutil.rmtree(small.folder / "results/people")
    assert small.accept("draw", names=RENAMES).states == [old.path.relative_to(small.folder).as_posix()]
    owner = {**old.belongs_to, "settings": NEW["settings"], "code": "1" * 16}
    del owner["run"]
    state = StateFile(state_path(small.folder / "results/state/identities/one", owner), owner).of_run(seed=1)
    saved = state.load()
    assert saved.iteration == 7 and torch.equal(saved.tensors["latents"], torch.arange(3.0))
    assert not old.path.exists()


def test_states_of_other_settings_or_stages_stay(small):
    other = interrupted_state(small, {**OLD["settings"], "iterations": 4}, "a" * 16)
    small.configure(codes=new_codes(0))
    done = small.accept("sample")
    assert done.states == [] and "settings.iterations" not in done.refused_states[0]
    assert "iterations is 4 there and 3 here" in done.refused_states[0]
    assert other.path.exists()
    interrupted_state(small, OLD["settings"], "a" * 16)
    assert small.accept("vary").states == []


def test_an_unknown_stage_is_named(small):
    with pytest.raises(BrownidError, match="no stage 'smaple': its stages are sample, tabulate, vary"):
        small.accept("smaple")


def test_a_folder_in_which_snakemake_works_is_left_alone(small):
    small.configure(codes=new_codes(0))
    locks = small.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text(SAMPLES)
    with pytest.raises(BrownidError, match="Snakemake works in this folder"):
        small.accept("sample")


def test_the_command_lists_the_results_by_stage_and_changes_nothing_without_a_stage(tmp_path):
    words = ["accept", "--configfile", TINY, "--directory", tmp_path]
    said = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False).output.splitlines()
    assert said[0].split("  ")[-3:] == ["incomplete", "accepted", "to run"]
    assert ["sample_references", "·", "·", "·", "2", "·", "·", "2"] in [line.split() for line in said]
    assert re.match(r"0 of \d+ results would be accepted", said[-1])
