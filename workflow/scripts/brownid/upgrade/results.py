"""Results of a run that other code or settings made, and the jobs that would run again."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from brownid.configuration.stages import sorted_keys
from brownid.jobs.resume import differences
from brownid.runtime.files import sha256
from brownid.upgrade.renames import Renames
from brownid.upgrade.workflow import Job, Run

# What a result is, compared with what the present code and configuration would make:
#   current      the same, or without a record, which Snakemake takes for the same
#   code         made by other code, or under names of an older version; the settings are the same
#   settings     made from other settings or other inputs, or by another stage
#   missing      a file of it is not there
#   incomplete   a job had begun to write it and did not finish, or its content changed since
Status = Literal["current", "code", "settings", "missing", "incomplete"]
FINGERPRINT = re.compile("[0-9a-f]{16}")
TIMESTAMP = ".snakemake_timestamp"  # what Snakemake takes the time of a folder from


@dataclass(frozen=True)
class Result:
    """The files of one job, as they are."""

    job: Job
    status: Status
    places: dict[str, str] = field(default_factory=dict)  # output -> where it is, under the name of today or an old one
    records: dict[str, dict[str, Any]] = field(default_factory=dict)  # output -> its record, under the names of today
    differences: list[str] = field(default_factory=list)  # a phrase for each difference beyond the code
    made_by: str | None = None  # the fingerprint of the code
    stale: bool = False  # what is recorded of it, or its state, makes Snakemake run its job

    def moves(self) -> dict[str, str]:
        """Old path -> new path, of outputs, log and benchmark file."""
        return {place: path for path, place in self.places.items() if place != path}


class Results:
    """All results of a run."""

    def __init__(self, run: Run, renames: Renames):
        self._outputs = {path for job in run.jobs for path in job.outputs}
        self.run, self.renames = run, renames.of_run(self._outputs, run.seed)
        located = {job: self._located(job) for job in run.jobs}
        self._consumed = self._consumed_checksums(located.values())
        self.all = [self._examined(job, *located[job]) for job in run.jobs]

    def place(self, path: str) -> str | None:
        """Present location of the file of today's `path`; None if it is missing."""
        if Path(path).exists():
            return path
        old = (older for older in self.renames.old_paths(path) if older not in self._outputs and Path(older).exists())
        return next(old, None)

    def _located(self, job: Job) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        places = {path: place for path in (*job.outputs, *job.logs) if (place := self.place(path))}
        records = {}
        for path in job.outputs:
            found = (self.run.records.read(name) for name in (path, *self.renames.old_paths(path)))
            record = next(filter(None, found), None)
            if record is not None:
                records[path] = self._today(record)
        return places, records

    def _today(self, record: Mapping[str, Any]) -> dict[str, Any]:
        checksums = {self.renames.path(path): checksum for path, checksum in (record["input_checksums"] or {}).items()}
        return {**record, "input_checksums": checksums}

    def _examined(self, job: Job, places: dict[str, str], records: dict[str, dict[str, Any]]) -> Result:
        recorded = len(records) == len(job.outputs)
        same = all(
            (record["rule"], set(record["params"]), record["input"]) == (job.rule, set(job.params), sorted(job.inputs))
            for record in records.values()
        )
        moved = [path for path in job.outputs if places.get(path) != path]
        if not places.keys() >= set(job.outputs) or (moved and not recorded):
            return Result(job, "missing", places, records, stale=recorded and not same)
        if self.run.records.incomplete([*job.outputs, *(places[path] for path in job.outputs)]):
            return Result(
                job, "incomplete", places, records, ["a job began to write it and did not finish"], stale=True
            )
        if not recorded or (same and not moved):
            return Result(job, "current", places, records)
        phrases = list(
            dict.fromkeys(phrase for record in records.values() for phrase in self._differences(job, record))
        )
        status: Status = "settings" if phrases else "code"
        changed = self._changed(places, records)
        if changed:
            status, phrases = "incomplete", [f"{changed[0]} was changed after its job"]
        made_by = next((code for record in records.values() if (code := _parts(record["params"])[1])), None)
        return Result(job, status, places, records, phrases, made_by, stale=True)

    def _differences(self, job: Job, record: Mapping[str, Any]) -> list[str]:
        rule = self.renames.rule(record["rule"])
        if rule != job.rule:
            return [f"{rule} made it, and {job.rule} would now"]
        theirs, _, others = _parts(record["params"])
        ours, _, present = _parts(job.params)
        owner = self.renames.owner(rule, {"settings": theirs})
        phrases = differences(sorted_keys(owner), {"settings": ours})
        if {self.renames.path(text) for text in others} != set(present):
            phrases.append("its parameters differ")
        before, now = {self.renames.path(path) for path in record["input"] or ()}, set(job.inputs)
        phrases += [f"{path} was an input there and is none here" for path in sorted(before - now)]
        return phrases + [f"{path} is an input here and was none there" for path in sorted(now - before)]

    def _consumed_checksums(self, located: Iterable[tuple[Any, Mapping[str, Mapping]]]) -> dict[str, set[str]]:
        """The checksums that files had when other jobs read them."""
        consumed = defaultdict(set)
        for _, records in located:
            for record in records.values():
                for path, checksum in record["input_checksums"].items():
                    consumed[path].add(checksum)
        return consumed

    def _changed(self, places: Mapping[str, str], records: Mapping[str, Mapping]) -> list[str]:
        """The outputs that are not what their job wrote, as far as times and the checksums of their readers tell."""
        return [
            path
            for path, record in records.items()
            if (place := Path(places[path])).is_file()
            and place.stat().st_mtime != record["endtime"]
            and path in self._consumed
            and f"sha256:{sha256(place)}" not in self._consumed[path]
        ]

    def running(self, kept: Iterable[Result] = ()) -> list[Result]:
        """The results that Snakemake would make, those in `kept` being taken as made by the present code."""
        kept_ids = {id(result) for result in kept}
        by_output = {path: result for result in self.all for path in result.job.outputs}
        needs = {
            id(result): {id(r): r for path in result.job.inputs if (r := by_output.get(path))} for result in self.all
        }
        readers = defaultdict(list)
        for result in self.all:
            for needed in needs[id(result)].values():
                readers[id(needed)].append(result)

        missing = {path for result in self.all if id(result) not in kept_ids for path in result.job.outputs}
        missing = {path for path in missing if not Path(path).exists()}
        waiting = [r for r in self.all if (r.stale and id(r) not in kept_ids) or self._has_newer_input(r)]
        waiting += [by_output[path] for path in self.run.targets if path in missing and path in by_output]
        found: dict[int, Result] = {}
        while waiting:
            result = waiting.pop()
            if id(result) not in found:
                found[id(result)] = result
                waiting += readers[id(result)]
                waiting += [
                    r for r in needs[id(result)].values() if missing & set(result.job.inputs) & set(r.job.outputs)
                ]
        return [result for result in self.all if id(result) in found]

    def _has_newer_input(self, result: Result) -> bool:
        """Whether an input is newer than an output and differs from the one that was read."""
        if result.status == "missing":
            return False
        oldest = min(_time(result.places[path]) for path in result.job.outputs)
        for path in result.job.inputs:
            place = self.place(path)
            if place is None or _time(place) <= oldest:
                continue
            read = {record["input_checksums"].get(path) for record in result.records.values()}
            small = Path(place).is_file() and Path(place).stat().st_size <= self.run.largest_checked
            if not small or read != {f"sha256:{sha256(place)}"}:
                return True
        return False


def _time(place: str) -> float:
    stamp = Path(place) / TIMESTAMP
    return (stamp if stamp.exists() else Path(place)).stat().st_mtime


def code_of(job: Job) -> str | None:
    """The fingerprint of a job's code; None where its rule has none."""
    return _parts(job.params)[1]


def settings_of(job: Job) -> Any:
    """The settings of a job; an empty mapping where its rule has none."""
    return _parts(job.params)[0]


def _parts(params: Sequence[str]) -> tuple[Any, str | None, list[str]]:
    """The settings among recorded parameters, the fingerprint of the code, and the others, as text."""
    settings: Mapping[str, Any] = {}
    code, others = None, []
    for text in params:
        try:
            value = ast.literal_eval(text)
        except ValueError:  # such as inf
            value = text
        if isinstance(value, Mapping):
            settings = value
        elif isinstance(value, str) and FINGERPRINT.fullmatch(value):
            code = value
        else:
            others.append(str(value))
    return settings, code, others
