"""Write docs/api.md from the modules of `vstore.api`: signatures and docstrings. A test fails if it is stale."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import is_typeddict

from vstore import errors

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
MODULES = (
    "stores",
    "listings",
    "usage",
    "sboms",
    "audits",
    "reports",
    "maintenance",
    "doctor",
    "config",
    "specs",
    "locks",
    "migration",
    "realising",
    "layers",
    "plans",
    "profiles",
    "activation",
    "kernels",
    "environments",
    "gc",
    "names",
    "publishing",
    "images",
    "caches",
    "places",
    "cluster",
    "workers",
    "reporting",
)
# The public members of classes that have others for the modules below the API.
MEMBERS = {
    "Cache": ("name", "url", "exists"),
    "Channel": ("name", "number", "path", "created_at", "expires_at"),
    "Digest": ("parse",),
    "Descriptor": ("media_type", "digest", "size_bytes", "annotations", "platform"),
    "ImageOutput": ("place", "options"),
    "ImagePlace": ("name", "tags"),
    "ImagePlatform": ("os", "architecture", "variant"),
    "Inventory": ("items", "sboms", "channels", "pins", "closure"),
    "Item": ("path", "size_bytes", "touched_at"),
    "Key": ("name", "parse"),
    "Layer": ("kind", "name", "env_name", "requirements", "versioned", "targets", "dependencies"),
    "LockedLayer": ("env_name", "path", "packages", "packages_digest", "edited", "joint"),
    "LockedPackage": ("name", "version", "marker", "index", "shared"),
    "Project": ("load", "spec", "locks", "lock"),
    "Recipe": ("name", "kind", "target", "key"),
    "Reference": ("parse", "host", "repository", "tag", "digest"),
    "SbomRecord": ("path", "format", "size_bytes", "sha256"),
    "SecretKey": ("name", "generate", "read", "public"),
    "Sha256": ("parse", "hexadecimal"),
    "Spec": ("path", "profile", "layers", "layer", "digest", "warnings"),
    "Store": ("layout", "config", "is_valid", "close"),
    "StoreLayout": ("root", "object", "relative"),
    "StorePath": ("name", "parse"),
    "Trust": ("keys", "require"),
}
_TYPES = {"Project.spec": "Spec", "Store.layout": "StoreLayout", "StoreLayout.root": "Path"}
HEAD = """\
# The Python API

Scripts may use `vstore.api`; the command line uses nothing else of vstore.
A name on this page keeps its meaning from one minor release to the next. All other modules and members may change.

- There is one module for each noun. All functions are typed.
- Errors are those of [`vstore.errors`](#vstoreerrors). Each has `message`, `details`, `hint` and `exit_code`.
  The text of an error has all three of them.
- Install vstore into the environment of your script, with pip or uv from a checkout.
  Import the modules by name, as in `from vstore.api import realising`.
- Functions that take long take a `reporter`, an object with the methods of `Reporter`. Without one they are silent.
- Sizes are in bytes and durations in seconds, unless the type says otherwise. Times have a time zone.

The examples use the store at `$VSTORE_ROOT`, or the one in this user's data folder. They run as tests.
`scripts/api_reference.py` writes this page.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "".join(part for name in MODULES for part in _module(name)) + "".join(_errors())


def _errors() -> Iterator[str]:
    """Yield a table of the errors, each with its exit code."""
    yield "\n## vstore.errors\n\n`VstoreError` is the base of all others.\n"
    yield "\n| error | exit code | meaning |\n|---|---|---|\n"
    for name, found in vars(errors).items():
        if isinstance(found, type) and issubclass(found, errors.VstoreError):
            yield f"| `{name}` | {found.exit_code} | {_text(found).partition(chr(10))[0]} |\n"


def signatures(name: str, found: object) -> Iterator[str]:
    """Yield the signatures that the page shows for a public name: its own, then those of its members."""
    if isinstance(found, type):
        if name not in MEMBERS and _is_value(found):
            yield _signature(name, found)
        for member in _members(found):
            yield _member(found, member)
    elif callable(found):
        yield _signature(name, found)


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(f"vstore.api.{name}")
    yield f"\n## vstore.api.{name}\n\n{_text(module)}\n"
    for one in module.__all__:
        yield from _section(one, getattr(module, one))


def _section(name: str, found: object) -> Iterator[str]:
    yield f"\n### {name}\n\n"
    if isinstance(found, enum.EnumMeta):
        yield f"{_text(found)}\n\nMembers: {', '.join(f'`{one}`' for one in found.__members__)}.\n"
    elif isinstance(found, type):
        own = len(list(signatures(name, found))) > len(_members(found))
        yield f"```python\n{_broken(next(signatures(name, found)))}\n```\n\n" if own else ""
        yield f"{_text(found)}\n"
        yield "\nA dictionary. [The documents](cli.md#documents) have its keys.\n" if is_typeddict(found) else ""
        yield from _table(found)
    elif callable(found):
        yield f"```python\n{_broken(_signature(name, found))}\n```\n\n{_text(found)}\n"
    elif isinstance(found, tuple) and " at 0x" in repr(found):
        yield f"A tuple of `{type(found[0]).__name__}`.\n"
    else:
        yield f"`{found!r}`\n"


def _table(kind: type) -> Iterator[str]:
    """Yield the fields, which the docstring of the class explains, and a table of the other members."""
    fields = [name for name in _members(kind) if not _is_method(inspect.getattr_static(kind, name, None))]
    others = [name for name in _members(kind) if name not in fields]
    if fields:
        yield f"\nFields: {', '.join(f'`{_member(kind, name)}`' for name in fields)}.\n"
    if others:
        yield "\n| member | meaning |\n|---|---|\n"
    for name in others:
        text = _text(inspect.getattr_static(kind, name)).partition("\n")[0]
        yield f"| `{_member(kind, name)}` | {text} |\n".replace(" | None", " \\| None")


def _members(kind: type) -> tuple[str, ...]:
    """Return the names of the members that the page lists; the fields of a whole value are in its signature."""
    if kind.__name__ in MEMBERS:
        return MEMBERS[kind.__name__]
    if isinstance(kind, enum.EnumMeta):
        return ()
    return tuple(name for name, one in vars(kind).items() if not name.startswith("_") and _is_method(one))


def _is_method(found: object) -> bool:
    return isinstance(found, property | cached_property | classmethod | staticmethod) or inspect.isfunction(found)


def _is_value(kind: type) -> bool:
    if is_typeddict(kind) or getattr(kind, "_is_protocol", False) or issubclass(kind, enum.Enum | BaseException):
        return False
    return hasattr(kind, "__value_names__") or hasattr(kind, "_fields") or kind.__init__ is not object.__init__


def _fields(kind: type) -> dict[str, object]:
    return {name: one for base in reversed(kind.__mro__) for name, one in inspect.get_annotations(base).items()}


def _member(kind: type, name: str) -> str:
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, property | cached_property):
        function = found.fget if isinstance(found, property) else found.func
        assert function is not None
        return f"{name}: {_annotation(inspect.signature(function).return_annotation)}"
    if _is_method(found):
        label = f"{kind.__name__}.{name}" if isinstance(found, classmethod | staticmethod) else name
        return _signature(label, getattr(kind, name), method=True)
    known = _TYPES.get(f"{kind.__name__}.{name}")
    return f"{name}: {known or _annotation(_fields(kind)[name])}"


def _signature(name: str, found: object, *, method: bool = False) -> str:
    signature = inspect.signature(found)  # type: ignore[arg-type]
    parameters = [one for one in signature.parameters.values() if not (method and one.name == "self")]
    words = [_parameter(one) for one in parameters]
    named = next((place for place, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
    if named is not None and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        words.insert(named, "*")
    result = signature.return_annotation
    arrow = "" if isinstance(found, type) or result is signature.empty else f" -> {_annotation(result)}"
    return f"{name}({', '.join(words)}){arrow}"


def _broken(line: str) -> str:
    """Return a signature that is longer than a line with one parameter on each line."""
    if len(line) <= 100:
        return line
    head, _, rest = line.partition("(")
    inner, end, arrow = rest.rpartition(") -> ") if ") -> " in rest else (rest[:-1], ")", "")
    words, depth = [""], 0
    for sign in inner:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            words.append("")
        else:
            words[-1] += sign
    lines = "".join(f"    {word.strip()},\n" for word in words)
    return f"{head}(\n{lines}{end}{arrow}"


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL.name: "*", one.VAR_KEYWORD.name: "**"}.get(one.kind.name, "")
    text = f"{stars}{one.name}" + ("" if one.annotation is one.empty else f": {_annotation(one.annotation)}")
    if one.default is one.empty:
        return text
    if isinstance(one.default, enum.Enum):
        return f"{text} = {type(one.default).__name__}.{one.default.name}"
    shown = repr(one.default).replace("mappingproxy({})", "{}").replace("datetime.timedelta", "timedelta")
    return f"{text} = {'…' if shown.startswith('<') or len(shown) > 40 else shown}"


def _annotation(found: object) -> str:
    text = found if isinstance(found, str) else getattr(found, "__forward_arg__", None)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text or inspect.formatannotation(found))


def _text(found: object) -> str:
    """Return a docstring as Markdown: what follows `::` is a block of code."""
    head, mark, code = (inspect.getdoc(found) or "").strip().partition("::\n\n")
    head = head.replace("``", "`")
    return f"{head}:\n\n```python\n{inspect.cleandoc(code)}\n```" if mark else head


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
