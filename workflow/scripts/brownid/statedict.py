"""Named tensors into a module, all of them or none."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.pickles import is_name

NAMED_KEYS = 5  # how many keys an error lists


def listed(names: Sequence[str]) -> str:
    """The first of some names of a file, as a message lists them; one that cannot be shown is not repeated."""
    shown = [name if is_name(name) else "(a name that cannot be shown)" for name in names[:NAMED_KEYS]]
    return f"{', '.join(shown)}{', …' if len(names) > NAMED_KEYS else ''}"


def check_finite(tensors: Mapping[str, Tensor], source: object) -> None:
    """A NaN or infinite number in a tensor is a `BrownidError` that begins with `source` and names the tensor."""
    damaged = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if damaged:
        raise BrownidError(f"{source}: NaN or infinite numbers in {listed(damaged)}; fetch or write the file again.")


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict; a missing, unexpected or misshapen key is a `BrownidError` that begins with `source`."""
    wanted = network.state_dict()
    misshapen = [
        f"{name} {list(tensors[name].shape)} instead of {list(wanted[name].shape)}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    missing = [k for k in wanted if k not in tensors and not k.endswith("num_batches_tracked")]  # torch < 0.4 had none
    unexpected = [k for k in tensors if k not in wanted]
    problems = [
        f"{len(names)} {what}: {listed(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise BrownidError(f"{source}: the weights do not fit the network; {'; '.join(problems)}")
    network.load_state_dict(tensors, strict=False)
