"""Timings of a machine are read as they were written, and a file that holds none is refused in a sentence."""

import re
from dataclasses import asdict

import pytest
import yaml

from brownid.planning.timings import DeviceTimings, read_timings, write_timings
from brownid.runtime.errors import BrownidError

TIMINGS = DeviceTimings(
    device="Made-up GPU",
    force_pass_images_per_second=2000.0,
    noise_images_per_second=40_000.0,
    packing_iterations_per_second=500.0,
    depthwise_milliseconds=1.5,
    encode_images_per_second_per_core=1000.0,
    decode_images_per_second_per_core=2500.0,
)


def test_timings_are_read_as_they_were_written(tmp_path):
    write_timings(tmp_path / "device.yaml", TIMINGS)
    assert read_timings(tmp_path / "device.yaml") == TIMINGS
    assert list(yaml.safe_load((tmp_path / "device.yaml").read_text())) == list(asdict(TIMINGS))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"noise_images_per_second": None}, "noise_images_per_second is None, but must be a number, above 0"),
        ({"noise_images_per_second": 0}, "noise_images_per_second is 0, but must be a number, above 0"),
        ({"noise_images_per_second": float("nan")}, "noise_images_per_second is nan, but must be a number"),
        ({"device": 7}, "device is 7, but must be a text"),
        ({"noise": 3.0}, "there is no setting 'noise'"),
    ],
)
def test_bad_timings_are_refused_by_file_and_key(tmp_path, changes, said):
    path = tmp_path / "device.yaml"
    path.write_text(yaml.safe_dump(asdict(TIMINGS) | changes))
    with pytest.raises(BrownidError, match=f"^{re.escape(str(path))}: .*{re.escape(said)}"):
        read_timings(path)


def test_a_file_without_a_key_or_without_any_is_refused(tmp_path):
    path = tmp_path / "device.yaml"
    path.write_text("device: x\n")
    with pytest.raises(BrownidError, match=r"device\.yaml: force_pass_images_per_second, .* is missing; write it by"):
        read_timings(path)
    path.write_text("- 1\n")
    with pytest.raises(BrownidError, match=r"device\.yaml: these are no timings"):
        read_timings(path)
    with pytest.raises(BrownidError, match=r"absent\.yaml: cannot read"):
        read_timings(tmp_path / "absent.yaml")
