"""The judge is independent of the datasets, the genuine database has genuine pairs, and all datasets are measured."""

from pathlib import Path

import pytest
import yaml

from brownid.configuration import paths, products, stages
from brownid.configuration.loading import load_configuration
from brownid.runtime.errors import BrownidError

PROJECT = Path(__file__).parents[3]
NAMES = ("rejected", "moved", "packed", "varied", "packed_varied")  # the datasets of the tiny configuration


@pytest.fixture
def tiny():
    return yaml.safe_load((PROJECT / "tests/tiny.yaml").read_text())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"judge": "steering"}, "quality.judge is 'steering', which references.rejected.network names too"),
        ({"genuine": "multipie"}, "quality.genuine is 'multipie', on which the judge 'judge' was trained"),
        ({"genuine": "portraits"}, "quality.genuine is 'portraits', of the kind portraits, in which every image is"),
        ({"judge": "jugde"}, "quality.judge: there is no entry 'jugde' under networks; did you mean 'judge'?"),
        ({"genuine": "moved"}, "quality.genuine: there is no entry 'moved' under databases"),
        ({"near_duplicate_angle": 0}, "quality.near_duplicate_angle: 0 is less than or equal to the minimum of 0"),
    ],
)
def test_what_cannot_judge_is_refused_with_a_sentence(tiny, changes, sentence):
    tiny["quality"].update(changes)
    with pytest.raises(BrownidError) as caught:
        load_configuration(tiny)
    assert sentence in str(caught.value)


def test_a_network_that_helps_the_projection_does_not_judge(tiny):
    tiny["covariates"]["directions"]["network"] = "judge"
    with pytest.raises(BrownidError, match=r"covariates.directions.network names too: a network that took part"):
        load_configuration(tiny)


def test_a_judge_with_the_weights_of_the_steering_network_is_refused_under_any_name(tiny):
    for name, path in (("steering", "same.pt"), ("judge", "./same.pt")):
        tiny["networks"][name] |= {"database": None, "weights": path}
    with pytest.raises(BrownidError, match=r"references.rejected.network uses as 'steering', with the same weights"):
        load_configuration(tiny, files=False)


def test_a_judge_reads_the_aligned_images_of_the_workflow(tiny):
    tiny["networks"]["judge"] |= {"database": None, "weights": "a.pt", "image_size": 112}
    with pytest.raises(BrownidError, match=r"networks.judge.image_size is 112, but images.image_size is 32"):
        load_configuration(tiny, files=False)


def test_every_dataset_is_judged_with_its_references_and_the_genuine_database_too(tiny):
    config = load_configuration(tiny)
    assert products.judged_datasets(config) == [*sorted(NAMES), "strangers"]
    judged = {name for network, name in products.embedded_datasets(config) if network == "judge"}
    assert judged == {*NAMES, "strangers", "portraits"}, "the leak guard, and what is measured"
    place = "results/embeddings/judge/{}.h5".format
    assert paths.judged_embeddings(config, "varied") == [place("moved"), place("varied")]
    assert paths.judged_embeddings(config, "strangers") == [place("strangers")]
    assert paths.judged_leak_guard(config, "varied") == [place("portraits")]
    assert paths.judged_leak_guard(config, "packed_varied") == paths.judged_leak_guard(config, "strangers") == []


def test_without_a_judge_nothing_of_it_is_made(tiny):
    with_judge = load_configuration(tiny)
    del tiny["quality"]
    config = load_configuration(tiny)
    assert products.judged_datasets(config) == [] and products.embedded_datasets(config) == [("steering", "portraits")]
    assert not any("quality" in path or ".judge." in path for path in products.targets(config))
    assert any("quality" in path for path in products.targets(with_judge))
    assert "measure_quality" not in products.job_counts(config)
    assert paths.identity_quality(config, "varied") == []


def test_the_near_duplicate_angle_is_in_the_settings_of_the_stages_that_use_it(tiny):
    config = load_configuration(tiny)
    assert stages.measure_quality(config, "varied")["near_duplicate_angle"] == 0.2
    assert stages.tabulate_quality(config)["near_duplicate_angle"] == 0.2
    assert "quality" not in repr(stages.embed_dataset(config, "varied", "judge"))
