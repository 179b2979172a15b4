"""Compiles the Python files named on its input. Run by a layer's interpreter (CPython 3.8 or newer), never imported.

Reads chunks from stdin, each a line with a byte count and then that many bytes of layer-relative
paths, NUL-separated; answers each with a line ``done <files written>`` or ``error <what>``. Writes
unchecked-hash bytecode (PEP 552) into ``__pycache__`` with the relative path as the code's file name.

What keeps the bytes the same whatever this process compiled before:

- the caller sets PYTHONHASHSEED=0;
- `marshal` marks an object for sharing when somebody else refers to it, which for interned strings
  depends on what the process has seen: all strings are held while dumping;
- whether a one-character string is interned depends on the same: all of them are, from the start;
- the compiler copies a frozenset whose strings the process had interned before, and versions before 3.11
  write its members in memory order: frozensets are written here, sorted and never shared.
"""

from __future__ import annotations

import gc
import marshal
import sys

del sys.path[0]  # this file's folder has modules that are not for this interpreter

import os  # noqa: E402
from _imp import source_hash  # noqa: E402
from importlib.util import MAGIC_NUMBER  # noqa: E402
from operator import is_  # noqa: E402
from types import CodeType  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RAW_MAGIC = int.from_bytes(MAGIC_NUMBER, "little")
SUFFIX = f".{sys.implementation.cache_tag}.pyc"
HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little")  # flags: by hash, unchecked
# UnicodeError is a ValueError; the parser says MemoryError when its own stack is full
NOT_PYTHON = (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError, SystemError)
PLACEHOLDER = b"frozenset " + os.urandom(16).hex().encode() + b" %08d"  # never in a source, nor in the result
CHARACTERS = [sys.intern(chr(number)) for number in range(256)] + [sys.intern("")]


def hold(code: CodeType, held: list[object]) -> None:
    """Take one more reference to every object that `marshal` could reach."""
    names = (code.co_name, code.co_filename, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    held += names
    for group in names[2:]:
        held += group
    hold_constants(code.co_consts, held)


def hold_constants(constants: tuple[object, ...], held: list[object]) -> None:
    for constant in constants:
        if isinstance(constant, CodeType):
            hold(constant, held)
        elif isinstance(constant, str):
            held.append(constant)
        elif isinstance(constant, tuple):
            hold_constants(constant, held)


def dump(code: CodeType) -> bytes:
    sets: list[frozenset[Any]] = []
    code = without_sets(code, sets)
    held: list[object] = []
    hold(code, held)
    data = marshal.dumps(code)
    for number, value in enumerate(sets):
        mark = PLACEHOLDER % number
        old = len(mark).to_bytes(4, "little") + mark
        at = data.find(old) - 1
        if at < 0:
            raise RuntimeError("a frozenset was lost")
        items = sorted(marshal.dumps(item, 2) for item in value)  # version 2 shares nothing
        new = bytes([ord(">") | data[at] & 0x80]) + len(items).to_bytes(4, "little") + b"".join(items)
        data = data[:at] + new + data[at + 1 + len(old) :]
    return data


def without_sets(code: CodeType, sets: list[frozenset[Any]]) -> CodeType:
    """The code with each frozenset replaced by a marker."""
    old = code.co_consts
    for constant in old:
        if type(constant) is CodeType or type(constant) is frozenset:
            break
    else:
        return code
    new = tuple([replace_set(constant, sets) for constant in old])
    return code if all(map(is_, new, old)) else code.replace(co_consts=new)


def replace_set(constant: object, sets: list[frozenset[Any]]) -> object:
    if type(constant) is CodeType:
        return without_sets(constant, sets)
    if type(constant) is frozenset:
        sets.append(constant)
        return PLACEHOLDER % (len(sets) - 1)
    return constant


def read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        while len(data) < size:
            more = os.read(handle, size)
            if not more:
                break
            data += more
        return data
    finally:
        os.close(handle)


def create(path: str) -> int:
    """A new file: one that is there may be a hard link to something that must not change."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, 0o644)
    except FileExistsError:
        os.unlink(path)
        return os.open(path, flags, 0o644)


def write(path: str, *parts: bytes) -> None:
    handle = create(path)
    try:
        data = memoryview(b"".join(parts))
        while data:
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)


def compile_file(path: str, made: set[str]) -> bool:
    """Compile one file; False when it is no Python of this version, as pip does."""
    data = read(path)
    try:
        code = compile(data, path, "exec", 0, True, 0)
        body = dump(code)
    except NOT_PYTHON:
        return False
    folder, _, name = path.rpartition("/")
    cache = folder + "/__pycache__" if folder else "__pycache__"
    if cache not in made:
        os.makedirs(cache, exist_ok=True)
        made.add(cache)
    write(cache + "/" + name[: name.rindex(".")] + SUFFIX, HEADER, source_hash(RAW_MAGIC, data), body)
    return True


def main() -> None:
    gc.disable()
    if hasattr(gc, "freeze"):
        gc.freeze()
    import warnings

    warnings.simplefilter("ignore")
    made: set[str] = set()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        line = requests.readline()
        if not line:
            return
        paths = requests.read(int(line)).split(b"\0")
        try:
            written = sum(compile_file(os.fsdecode(path), made) for path in paths)
            answer = f"done {written}\n"
        except OSError as error:
            answer = f"error {error.strerror}: {error.filename}\n"
        answers.write(answer.encode("utf-8", "replace"))
        answers.flush()


if __name__ == "__main__":
    main()
