"""The generator in NVIDIA's network pickles (stylegan2-ada-pytorch and stylegan3): `G_ema`, the averaged weights.

The pickle is a dict of networks whose classes carry their Python source; NVIDIA's own loader executes that source,
this one leaves it out. What the source would define is known: `brownid.generators` has it. The other entries of the
dict (discriminator, settings of the training set, augmentation) can hold objects of any class: they are left out too.
"""

from torch import Tensor

from brownid.generators.checkpoints.modules import Module, NetworkReader, named_tensors
from brownid.generators.checkpoints.plain import PlainValue, plain
from brownid.pickles import RefusedError, check_needed

# The first parameters of both generators' constructors, in their published order.
_POSITIONS = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs")


def read_network_pickle(data: bytes) -> tuple[str, dict[str, PlainValue], dict[str, Tensor]]:
    """Family ("stylegan2" or "stylegan3"), constructor arguments and named tensors of a pickle's `G_ema`.

    Constructor arguments have one form for a family, whichever program wrote the file: named, even if given by
    position, and those of the synthesis network nested in `synthesis_kwargs` for StyleGAN2 (as stylegan2-ada-pytorch
    writes them), but beside the others for StyleGAN3 (as stylegan3 writes both families).
    Raises `RefusedError` or, for a damaged pickle, whatever its opcodes happen to raise.
    """
    content = NetworkReader(data).read()
    generator = content.get("G_ema") if isinstance(content, dict) else None
    check_needed(content if generator is None else generator)
    if not isinstance(generator, Module):
        raise RefusedError("it holds no network 'G_ema', the averaged generator of NVIDIA's network pickles")
    arguments = _arguments(generator)  # first: it is quicker than the tensors
    tensors = named_tensors(generator)
    family = _family(tensors, generator.class_name)
    return family, _in_one_form(arguments, family), tensors


def _arguments(generator: Module) -> dict[str, PlainValue]:
    if "_init_kwargs" not in generator.state:
        raise RefusedError("its G_ema does not tell the arguments that it was constructed with")
    positional = generator.attribute("_init_args", tuple)
    if len(positional) > len(_POSITIONS):
        raise RefusedError(f"its G_ema was constructed with {len(positional)} arguments by position")
    named = {
        **dict(zip(_POSITIONS, positional, strict=False)),
        **generator.attribute("_init_kwargs", dict),
    }
    return plain(named, "constructor arguments")


def _in_one_form(arguments: dict[str, PlainValue], family: str) -> dict[str, PlainValue]:
    nested = arguments.get(_POSITIONS[-1]) or {}
    if not isinstance(nested, dict) or type(arguments.get("img_resolution")) is not int:
        raise RefusedError("the constructor arguments of its G_ema are not those of StyleGAN2 or StyleGAN3")
    own = {name: value for name, value in arguments.items() if name in _POSITIONS[:-1]}
    synthesis = nested | {name: value for name, value in arguments.items() if name not in _POSITIONS}
    return {**own, "synthesis_kwargs": synthesis} if family == "stylegan2" else {**synthesis, **own}


def _family(tensors: dict[str, Tensor], class_name: str) -> str:
    if any(name.startswith("synthesis.input.") for name in tensors):
        return "stylegan3"
    if "synthesis.b4.const" in tensors:
        return "stylegan2"
    raise RefusedError(f"its G_ema is of a class {class_name!r} that is neither StyleGAN2 nor StyleGAN3")
