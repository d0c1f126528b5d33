"""What is asked of a pickle before any of it is read: that its opcodes cannot harm the unpickler itself."""

import pickletools
from typing import BinaryIO

DEEPEST_TUPLE = 1000  # Python's own pickler cannot write deeper ones
_PUT, _GET = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_EXTENSIONS = ("EXT1", "EXT2", "EXT4")  # classes by number, from a table that find_class might not be asked about
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")


class RefusedError(Exception):
    """The pickle asks for something that is neither a tensor nor plain data; the text says what."""


def check_opcodes(content: bytes | BinaryIO, length: int) -> None:
    """Refuse a pickle of at most `length` bytes that could end the process; nothing of it is built.

    Raises `RefusedError` for a memo place beyond its length (the unpickler makes room for all places before it), for
    classes by number, and for tuples nested deeper than `DEEPEST_TUPLE`: hashed, as the key of a dict, they overflow
    the stack of Python itself. Raises ValueError where the content ends early or is no pickle.
    """
    stack: list[int] = []  # how deep the tuples in each value are nested, at most; -1 is a mark
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(content):
        name, top = opcode.name, stack[-1] if stack else 0
        if name in _EXTENSIONS:
            raise RefusedError("it names a class by a number of the writing program")
        if name in _PUT:
            if argument > length:
                raise RefusedError("it asks for more memory than its content can need")
            memo[argument] = top
        elif name == "MEMOIZE":
            memo[len(memo)] = top
        elif name in _GET:
            stack.append(memo.get(argument, 0))
        elif name == "MARK":
            stack.append(-1)
        elif name == "DUP":
            stack.append(top)
        else:
            depth = max([0, *_taken(stack, opcode)]) + (name in _TUPLES)
            if depth > DEEPEST_TUPLE:
                raise RefusedError(f"its tuples are nested more than {DEEPEST_TUPLE} deep")
            stack.extend([depth] * len(opcode.stack_after))


def _taken(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """What an opcode takes off the stack; the unpickler complains where there is too little."""
    count = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        above = 1
        while above <= len(stack) and stack[-above] != -1:
            above += 1
        count = above + opcode.stack_before.index(pickletools.markobject)
    start = max(len(stack) - count, 0)
    taken = stack[start:]
    del stack[start:]
    return taken
