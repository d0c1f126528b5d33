"""A world whose photographs show their own parameters, so that a test can read back what was photographed."""

import numpy as np
import torch

from brownid.runtime.randomness import normal
from brownid.world.anatomy import IDENTITY_NAMES, NUISANCE_NAMES, named_nuisance

SIDE = 16


class FakeWorld:
    """The interface of a genuine world; pixel (0, 0) is the identity, (0, 1) the yaw, (0, 2) the light, as a code."""

    def __init__(self):
        self.shots = []  # (identity, nuisance, item) of every photograph, in order

    def people(self, items):
        return normal(1, "fake/people", items, (len(IDENTITY_NAMES),))

    def nuisance(self, items, nuisance_std, purpose):
        return nuisance_std * normal(1, f"fake/{purpose}", items, (len(NUISANCE_NAMES),))

    def nuisance_named(self, **values):
        return named_nuisance(values)

    def photograph(self, identity, nuisance, items):
        assert len(identity) == len(nuisance) == len(items)
        self.shots += list(zip(identity, nuisance, items, strict=True))
        settings = torch.tanh(torch.cat([identity[:, :1], nuisance[:, [0, 3]]], dim=1))
        images = np.zeros((len(items), SIDE, SIDE, 3), np.uint8)
        images[:, 0, :3, 0] = (127.5 + 127 * settings).numpy().astype(np.uint8)
        return images
