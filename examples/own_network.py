"""An FR network of your own, for scripts and for the workflow.

In a configuration, with the folder of this file on PYTHONPATH:

    networks:
      mine:
        {factory: "own_network:network", weights: models/mine.safetensors, image_size: 32, template: arcface, width: 16}

The function gets `weights` (a path), `image_size` and `device`, and as keywords all keys that the project does not
know.
Run it with `python examples/own_network.py`; it writes network.safetensors.
"""

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from brownid import embed_images, load_network, verification_accuracy


class OwnNetwork(nn.Module):
    """RGB images `[B, 3, S, S]` in [-1, 1] to embeddings `[B, 64]`.

    A network that reads BGR has `colour_order = "BGR"`; one that returns unit embeddings and norms is known by that.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2),
            nn.PReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * width, 64),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def network(*, weights: str, image_size: int, device: str | torch.device, width: int = 16) -> OwnNetwork:
    """The factory: a network with the weights of a file, which is data and executes nothing."""
    made = OwnNetwork(width)
    made.load_state_dict(load_file(weights))
    return made.to(device)


def main() -> None:
    """Embed pairs of images and verify them, as the workflow scores a network on a benchmark."""
    save_file(OwnNetwork(width=16).state_dict(), "network.safetensors")  # yours is trained
    described = {"factory": "own_network:network", "image_size": 32, "options": {"width": 16}}
    own = load_network(described, "network.safetensors")
    random = np.random.default_rng(1)
    first = random.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    second = random.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    same = np.arange(200) % 2 == 0
    second[same] = first[same][:, :, ::-1]  # a genuine pair: an image and its mirror image
    pairs = embed_images(own, first, mirror=True), embed_images(own, second, mirror=True)
    print(f"accuracy {100 * np.mean(verification_accuracy(*pairs, same).accuracies):.1f} %")


if __name__ == "__main__":
    main()
