"""What a pickle is read into where Python's own values do not do: objects that only hold data, or nothing."""

from collections.abc import Callable, Iterable, Mapping

LONGEST_NAME = 200  # characters of a text of the file that a message repeats


class RefusedError(Exception):
    """The pickle asks for something that is neither a tensor nor plain data; the text says what."""


class Inert:
    """Base of the stand-ins: the pickle cannot change them, unless `set_state` of the class says how."""

    __slots__ = ()
    called = "an object"  # in messages

    def set_state(self, state: object) -> None:
        """What the opcode BUILD does."""
        raise RefusedError(f"it changes {self.called}, which must stay as it is")

    def parts(self) -> Iterable[object]:
        """The values of the file that it holds."""
        return ()


class Function(Inert):
    """A function of ours under a name of the file; the only thing that a pickle can call."""

    __slots__ = ("call",)
    called = "the function or class that it names"

    def __init__(self, call: Callable):
        self.call = call


class Placeholder(Inert):
    """Takes the place of what has no stand-in: drops all that it is given; `check_needed` refuses it."""

    __slots__ = ("reason",)

    def __init__(self, reason: str):
        self.reason = reason

    def set_state(self, state: object) -> None:
        """Dropped."""


def check_needed(value: object) -> None:
    """Raise `RefusedError` with the reason of the first `Placeholder` that `value` holds, however deep."""
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Placeholder):
            raise RefusedError(value.reason)
        if isinstance(value, str | bytes | bytearray) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            waiting += [*value.values(), *value]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        elif isinstance(value, Inert):
            waiting += value.parts()


def is_name(value: object) -> bool:
    """Whether a value is a text that a message can repeat: short, and without control characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def short_reason(error: BaseException) -> str:
    """Type and first line of what went wrong with a damaged file, without control characters."""
    line = str(error).partition("\n")[0][:LONGEST_NAME]
    return f"{type(error).__name__}: {''.join(character if character.isprintable() else '?' for character in line)}"
