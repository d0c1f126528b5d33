"""Training settings: wrong values are sentences naming the setting."""

import pytest

from brownid.runtime.errors import BrownidError
from brownid.training.settings import TrainingSettings


@pytest.mark.parametrize(
    "name, value",
    [
        ("family", "resnet"),
        ("architecture", "iresnet50"),
        ("head", "softmax"),
        ("optimiser", "adam"),
        ("schedule", "cosine"),
        ("precision", "float16"),
        ("margin", -0.1),
        ("scale", 0),
        ("h", float("nan")),
        ("t_alpha", 1.5),
        ("epochs", 0),
        ("epochs", 2.0),
        ("batch_size", 1),
        ("batch_size", True),
        ("learning_rate", "1e-4"),
        ("momentum", 1.0),
        ("weight_decay", float("inf")),
        ("milestones", (3, 2)),
        ("milestones", (0,)),
        ("decay", 0),
        ("warm_up", 1),
        ("flip_probability", 1.1),
        ("shift", 0.7),
    ],
)
def test_a_wrong_value_is_a_sentence_naming_the_setting(name, value):
    with pytest.raises(BrownidError, match=name):
        TrainingSettings(**{name: value})


def test_milestones_may_come_as_a_list():
    assert TrainingSettings(milestones=[1, 4]) == TrainingSettings(milestones=(1, 4))
