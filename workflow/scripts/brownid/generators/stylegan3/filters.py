"""Design of the low-pass filters: Karras et al. 2021, appendix C.1.

A filter is the ideal low-pass (sinc, or its rotationally symmetric relative) under a Kaiser window, whose parameter
follows from the number of taps and the width of the transition band (Kaiser 1974). Frequencies are in cycles, rates in
samples, over the width of the image.
"""

import numpy as np
import torch
from torch import Tensor


def low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A filter `[taps]` to be run along each axis in turn, float32, symmetric, with sum 1.

    `width` is that of the whole transition band, centred on `cutoff`.
    """
    relative = 2 * cutoff / rate
    position = np.arange(taps) - (taps - 1) / 2
    response = np.sinc(relative * position) * np.kaiser(taps, kaiser_beta(taps, width, rate))
    return torch.from_numpy(response / response.sum()).float()


def radial_low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A filter `[taps, taps]` whose ideal response is a disc in frequency, float32, with sum 1; `taps` is even.

    The ideal response is the jinc function, J1(2π f r) / r. The window is a product of one along each axis, so that
    only the part under it is rotationally symmetric.
    """
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(position[:, None], position[None, :])  # never 0: with an even number no tap is in the centre
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * np.pi * cutoff * radius)).numpy()
    window = np.kaiser(taps, kaiser_beta(taps, width, rate))
    response = bessel / radius * np.outer(window, window)
    return torch.from_numpy(response / response.sum()).float()


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """The window parameter that reaches the best attenuation with so many taps (Kaiser's empirical formulae)."""
    attenuation = 2.285 * (taps - 1) * np.pi * (2 * width / rate) + 7.95  # decibels
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0
