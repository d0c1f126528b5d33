"""Where an inversion starts: at random faces whose embeddings are near the target, or at a linear guess."""

import torch
from torch import Tensor

from brownid.dynamics.checks import check_matrix
from brownid.dynamics.potentials import TILE, check_widths, unit_rows
from brownid.errors import BrownidError
from brownid.hypersphere.inversion import InversionSettings, check_targets
from brownid.ridge import fit_ridge

RIDGE_PENALTY = 1e-3  # in units of the variance of the embeddings


def starting_latents(targets: Tensor, latents: Tensor, embeddings: Tensor, settings: InversionSettings) -> Tensor:
    """The starts `[n, attempts, D]` for targets `[n,E]`, from random faces: latents `[m,D]` and embeddings `[m,E]`.

    With `start: gallery`, the latents of the nearest random faces, the nearest first. With `regression`, the guess of
    a ridge regression from unit embeddings to latents, learned on the random faces, and then the nearest of these.
    """
    check_targets(targets)
    check_matrix("latents of the random faces", latents, (None, None))
    check_matrix("embeddings of the random faces", embeddings, (len(latents), None))
    check_widths(targets, embeddings)
    guessed = settings.start == "regression"
    neighbours = settings.attempts - guessed
    if neighbours > len(latents):
        raise BrownidError(
            f"InversionSettings.attempts is {settings.attempts}, which needs {neighbours} random faces to start from, "
            f"but there are {len(latents)}; take fewer attempts or more faces."
        )
    targets = targets.to(latents)
    parts = [latents[nearest_rows(targets, embeddings.to(latents), neighbours)]]
    if guessed:
        weight, bias = fit_ridge([unit_rows(embeddings)[0]], latents, RIDGE_PENALTY)
        guess = unit_rows(targets)[0] @ weight.to(latents) + bias.to(latents)
        parts.insert(0, guess[:, None])
    return torch.cat(parts, dim=1)


def nearest_rows(embeddings: Tensor, others: Tensor, count: int, *, tile: int = TILE) -> Tensor:
    """The rows `[n, count]` of the `count` nearest of `others` `[m,E]` for embeddings `[n,E]`, the nearest first.

    Memory is a few tiles beside the result, never n × m.
    """
    unit, targets = unit_rows(embeddings)[0], unit_rows(others)[0]
    found = []
    for own in unit.split(tile):
        best, rows = own.new_empty(len(own), 0), torch.empty(len(own), 0, dtype=torch.int64, device=own.device)
        for first in range(0, len(targets), tile):
            cosines = own @ targets[first : first + tile].T
            places = torch.arange(first, first + cosines.shape[1], device=own.device).expand_as(cosines)
            cosines, rows = torch.cat([best, cosines], dim=1), torch.cat([rows, places], dim=1)
            best, order = cosines.topk(min(count, cosines.shape[1]), dim=1)
            rows = rows.gather(1, order)
        found.append(rows)
    return torch.cat(found)
