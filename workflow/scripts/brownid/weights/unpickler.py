"""The restricted pickle reader: an interpreter of opcodes that imports and calls nothing that a file names."""

import codecs
import io
import mmap
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, TypeGuard, cast

LONGEST_NAME = 200  # characters of a text of the file that a message repeats


class RefusedError(Exception):
    """The pickle asks for something that is neither a tensor nor plain data; the text says what."""


class Inert:
    """Base of the stand-ins: the pickle cannot change them, unless `set_state` of the class says how."""

    __slots__ = ()
    called = "an object"  # in messages

    def set_state(self, state: object) -> None:
        """The opcode BUILD."""
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


def is_name(value: object) -> TypeGuard[str]:
    """Whether a value is a text that a message can repeat: short, and without control characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def short_reason(error: BaseException) -> str:
    """Type and first line of what went wrong with a damaged file, without control characters."""
    line = str(error).partition("\n")[0][:LONGEST_NAME]
    return f"{type(error).__name__}: {''.join(character if character.isprintable() else '?' for character in line)}"


MOST_VALUES = 5_000_000  # a published benchmark file has 350 000 at most
MOST_KEY_PARTS = 200  # of a tuple that is a key of a dictionary or in a set, sharing counted
MOST_CHOSEN_HASHES = 10_000  # keys such as tuples, whose author can give them all one hash: their search is quadratic
LONGEST_NUMBER = 1024  # bits of an integer; converting longer ones to text takes quadratic time
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_TEXTS = (str, bytes, bool, type(None))  # whose hashes an author cannot choose, or which are few
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # modules that Python 3 has renamed


class PickleReader:
    """Reads one pickle. A subclass says what the names and references in it stand for.

    `names` are the stand-ins; `only` ends the sentence that refuses another name. A lenient reader puts a `Placeholder`
    where others refuse a name or a stand-in refuses its arguments, so that what is not needed does not matter.
    """

    only = "only plain values are read"
    lenient = False
    atoms: tuple[type, ...] = (Inert,)  # whose hash is their identity

    def __init__(self, content: bytes | io.BytesIO | mmap.mmap, length: int | None = None):
        if length is None:
            assert isinstance(content, bytes)  # of a file the length is given
            length = len(content)
        # an mmap reads as a file does
        self._file = cast(IO[bytes], io.BytesIO(content) if isinstance(content, bytes) else content)
        self._length = length
        self._left, self._chosen_hashes = MOST_VALUES, 0
        self._encoded: dict[int, tuple[str, bytes]] = {}  # by the id of the text, which is kept with it
        self.names: dict[tuple[str, str], object] = {
            ("_codecs", "encode"): Function(self._encode),
            ("builtins", "bytearray"): Function(self._bytes),
            ("builtins", "bytes"): Function(self._bytes),
            ("builtins", "set"): Function(self._set),
            ("builtins", "frozenset"): Function(self._set),
            ("collections", "OrderedDict"): Function(self._dict),
            ("collections", "defaultdict"): Function(lambda *_: {}),
            ("copyreg", "_reconstructor"): Function(self._reconstruct),
        }

    def read(self) -> Any:
        """Content of the pickle; the file is left at its end.

        Raises `RefusedError`, or whatever a damaged pickle leads to (ValueError, IndexError, KeyError ...).
        """
        self._stack: list = []
        self._marked: list[list] = []  # the stacks below each mark
        self._memo: dict[int, object] = {}
        while True:
            code = self._file.read(1)
            opcode = _OPCODES.get(code.decode("latin-1"))
            if opcode is None:
                raise ValueError("the pickle ends early" if not code else "there is no such opcode")
            self.spend(1)
            name = opcode.name
            if name == "STOP":
                return self._stack.pop()
            if name == "STRING":  # pickletools reads ASCII only
                self._push(self.python_2_string(_quoted(self._file.readline())))
            else:
                _ACTIONS[name](self, opcode.arg.reader(self._file) if opcode.arg is not None else None)

    def stand_in(self, module: str, name: str) -> object | None:
        """Stand-in of a name; None if it has none."""
        return self.names.get((module, name))

    def persistent(self, key: object) -> object:
        """Stand-in of a persistent reference."""
        raise RefusedError("it refers to an object outside the file")

    def python_2_string(self, raw: bytes) -> object:
        """Value of a `str` of Python 2, bytes or text."""
        return raw

    def spend(self, values: int) -> None:
        """Count values that are made; sharing lets a small file make any number of them."""
        self._left -= values
        if self._left < 0:
            raise RefusedError(f"it holds more than {MOST_VALUES} values")

    def call(self, function: object, arguments: object, keywords: object = None) -> object:
        """Result of a stand-in function; in a lenient reader a `Placeholder` for any other callable."""
        if isinstance(function, Placeholder):
            return function
        if not isinstance(function, Function) or not isinstance(arguments, tuple) or keywords:
            raise RefusedError("it calls something that is no function")
        try:
            return function.call(*arguments)
        except RefusedError as error:
            return self._refused(str(error))

    # -- opcodes ------------------------------------------------------------------------------------------------------

    def _push(self, value: object) -> None:
        if type(value) is int and value.bit_length() > LONGEST_NUMBER:
            raise RefusedError(f"it holds an integer of more than {LONGEST_NUMBER} bits")
        self._stack.append(value)

    def _push_string(self, text: str) -> None:
        self._push(self.python_2_string(text.encode("latin-1")))

    def _mark(self, _: object) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _pop(self, _: object) -> None:
        self._drop(self._last(1) if self._stack else self._since_mark())

    def _drop(self, _: list) -> None:
        pass

    def _last(self, count: int) -> list:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError("the stack is empty")
        del self._stack[-count:]
        return items

    def _put(self, place: int | None) -> None:
        place = len(self._memo) if place is None else place
        if place > self._length:
            raise RefusedError("it asks for more memory than its content can need")
        self._memo[place] = self._stack[-1]

    def _add_to_list(self, items: list) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Placeholder):
            raise RefusedError("it appends to something that is no list")

    def _add_to_dict(self, items: list) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            self._filled(target, items)
        elif not isinstance(target, Placeholder):
            raise RefusedError("it sets items of something that is no dictionary")

    def _add_to_set(self, items: list) -> None:
        target = self._stack[-1]
        if isinstance(target, set):
            target.update(map(self._key, items))
        elif not isinstance(target, Placeholder):
            raise RefusedError("it adds members to something that is no set")

    def _filled(self, target: dict, items: list) -> dict:
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value
        return target

    def _key(self, value: object) -> object:
        """`value`, where it is safe to hash; a `Placeholder` where it is not, in a lenient reader."""
        if type(value) in _TEXTS or (type(value) is int and value.bit_length() < 61) or isinstance(value, self.atoms):
            return value
        try:
            self._check_key(value)
        except RefusedError as error:
            return self._refused(str(error))
        return value

    def _check_key(self, value: object) -> None:
        """A key must be plain, or a tuple of few plain values, where shared ones are counted each time."""
        self._chosen_hashes += 1
        if self._chosen_hashes > MOST_CHOSEN_HASHES:
            raise RefusedError(f"it has more than {MOST_CHOSEN_HASHES} keys that are neither text nor small numbers")
        waiting, left = [value], MOST_KEY_PARTS
        while waiting:
            part = waiting.pop()
            left -= 1 + (len(part) if isinstance(part, tuple | frozenset) else 0)
            if left < 0:
                raise RefusedError(f"it has a key of more than {MOST_KEY_PARTS // 2} parts")
            if isinstance(part, tuple | frozenset):
                waiting += part
            elif type(part) not in (*_TEXTS, int, float) and not isinstance(part, self.atoms):
                raise RefusedError(f"it has a {type(part).__name__} as the key of a dictionary or member of a set")

    def _global(self, module: object, name: object) -> object:
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedError("it names something by values that are no text")
        module = _PYTHON_2.get(module, module)
        known = self.stand_in(module, name)
        return self._unknown(module, name) if known is None else known

    def _unknown(self, module: str, name: str) -> Placeholder:
        named = f"{module}.{name}" if is_name(module) and is_name(name) else "something by a text that is no name"
        return self._refused(f"it names {named}, and {self.only}")

    def _refused(self, reason: str) -> Placeholder:
        if not self.lenient:
            raise RefusedError(reason)
        return Placeholder(reason)

    def _reference(self, key: object) -> None:
        try:
            self._push(self.persistent(key))
        except RefusedError as error:
            self._push(self._refused(str(error)))

    def _instance(self, names: str) -> None:
        """INST: a class by name, and its arguments since the mark."""
        self._push(self.call(self._global(*names.split(" ", 1)), tuple(self._since_mark())))

    def _object(self, items: list) -> None:
        """OBJ: a class and its arguments since the mark."""
        self._push(self.call(items[0], tuple(items[1:])))

    def _build(self, state: object) -> None:
        target = self._stack[-1]
        if isinstance(target, Inert):
            target.set_state(state)
        elif not isinstance(target, dict):  # of a dictionary of a class of its own the items are enough
            raise RefusedError(f"it changes a {type(target).__name__}, which must stay as it is")

    def _extension(self, _: object) -> None:
        raise RefusedError("it names a class by a number of the writing program")

    def _buffer(self, _: object) -> None:
        raise RefusedError("it refers to a buffer outside the file")

    # -- stand-ins of Python's own names ------------------------------------------------------------------------------

    def _dict(self, pairs: object = ()) -> dict:
        """`OrderedDict(pairs)`, as Python 2 writes it."""
        pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
        if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            raise RefusedError("it makes a dictionary of something that is no list of pairs")
        self.spend(len(pairs))
        return self._filled({}, [part for pair in pairs for part in pair])

    def _set(self, members: object = ()) -> set:
        if not isinstance(members, list | tuple | set | frozenset):
            raise RefusedError("it makes a set of something that is no list")
        self.spend(len(members))
        return set(map(self._key, members))

    def _bytes(self, content: object = b"", encoding: object = "latin-1") -> bytes | bytearray:
        return content if isinstance(content, bytes | bytearray) else self._encode(content, encoding)

    def _encode(self, text: object, encoding: object = "latin1") -> bytes:
        """`_codecs.encode(text, 'latin1')`: how protocol 2 writes bytes. A text is encoded once, however often used."""
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1", "latin-1", b"latin-1"):
            raise RefusedError("it encodes something else than a latin-1 byte string")
        if id(text) not in self._encoded:
            self._encoded[id(text)] = text, text.encode("latin-1")
        return self._encoded[id(text)][1]

    def _reconstruct(self, kind: object, _base: object, state: object = None) -> object:
        """`copyreg._reconstructor(class, base, state)`: how protocols 0 and 1 write instances."""
        return self.call(kind, () if state is None else (state,))


def _quoted(line: bytes) -> bytes:
    """The bytes of the argument of STRING, which is what `repr` made of them in Python 2."""
    text = line.removesuffix(b"\n").strip()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise ValueError("a text has no quotes")
    return codecs.escape_decode(text[1:-1])[0]


# What each opcode does with its argument; its values come off the stack.
_ACTIONS: dict[str, Callable[[PickleReader, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), lambda reader, argument: None),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), PickleReader._push),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "UNICODE", "BYTEARRAY8"), PickleReader._push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), PickleReader._push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), PickleReader._push),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), PickleReader._push_string),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda reader, place: reader._push(reader._memo[place])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleReader._put),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), PickleReader._extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda reader, _: reader._push(reader.call(*reader._last(2)))),
    "NEWOBJ_EX": lambda reader, _: reader._push(reader.call(*reader._last(3))),
    "INST": PickleReader._instance,
    "OBJ": lambda reader, _: reader._object(reader._since_mark()),
    "BUILD": lambda reader, _: reader._build(*reader._last(1)),
    "GLOBAL": lambda reader, names: reader._push(reader._global(*names.split(" ", 1))),
    "STACK_GLOBAL": lambda reader, _: reader._push(reader._global(*reader._last(2))),
    "PERSID": PickleReader._reference,
    "BINPERSID": lambda reader, _: reader._reference(*reader._last(1)),
    "NEXT_BUFFER": PickleReader._buffer,
    "NONE": lambda reader, _: reader._push(None),
    "NEWTRUE": lambda reader, _: reader._push(True),
    "NEWFALSE": lambda reader, _: reader._push(False),
    "MARK": PickleReader._mark,
    "POP": PickleReader._pop,
    "POP_MARK": lambda reader, _: reader._drop(reader._since_mark()),
    "DUP": lambda reader, _: reader._push(reader._stack[-1]),
    "EMPTY_TUPLE": lambda reader, _: reader._push(()),
    "TUPLE": lambda reader, _: reader._push(tuple(reader._since_mark())),
    "TUPLE1": lambda reader, _: reader._push(tuple(reader._last(1))),
    "TUPLE2": lambda reader, _: reader._push(tuple(reader._last(2))),
    "TUPLE3": lambda reader, _: reader._push(tuple(reader._last(3))),
    "EMPTY_LIST": lambda reader, _: reader._push([]),
    "LIST": lambda reader, _: reader._push(reader._since_mark()),
    "APPEND": lambda reader, _: reader._add_to_list(reader._last(1)),
    "APPENDS": lambda reader, _: reader._add_to_list(reader._since_mark()),
    "EMPTY_DICT": lambda reader, _: reader._push({}),
    "DICT": lambda reader, _: reader._push(reader._filled({}, reader._since_mark())),
    "SETITEM": lambda reader, _: reader._add_to_dict(reader._last(2)),
    "SETITEMS": lambda reader, _: reader._add_to_dict(reader._since_mark()),
    "EMPTY_SET": lambda reader, _: reader._push(set()),
    "ADDITEMS": lambda reader, _: reader._add_to_set(reader._since_mark()),
    "FROZENSET": lambda reader, _: reader._push(frozenset(map(reader._key, reader._since_mark()))),
}
