"""Functions of the user's own that the configuration names, as `path.to.module:function`."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from brownid.runtime.errors import BrownidError


def import_factory(path: str, what: str) -> Callable[..., Any]:
    """The function that `path` names; `what` it makes ("generator") is for the message of the `BrownidError`."""
    module_name, colon, attribute = str(path).partition(":")
    if not (module_name and colon and attribute):
        raise BrownidError(f"The {what} factory {path!r} is not of the form 'path.to.module:factory'.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BrownidError(
            f"The module {module_name!r} of the {what} factory {path!r} cannot be imported ({error}): "
            "is it installed, or its folder on PYTHONPATH?"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise BrownidError(f"The module {module_name!r} has no function {attribute!r} ({what} factory {path!r}).")
    return factory


def check_keywords(build: Callable[..., Any], name: str, keywords: Mapping[str, Any]) -> None:
    """Raise a `BrownidError` that begins with `name` unless `build` can be called with these keywords."""
    try:
        inspect.signature(build).bind(**keywords)
    except TypeError as error:
        raise BrownidError(f"{name} does not take the settings {dict(keywords)}: {error}.") from error
