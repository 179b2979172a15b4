"""The keys of a layer: the one definition that the reader of a spec and its JSON schema follow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from vstore.objects import Kind
from vstore.python_version import REQUIREMENT
from vstore.target import Target
from vstore.values import frozen

LAYER_NAME = r"[A-Za-z0-9_][A-Za-z0-9@+._-]{0,99}"  # fits StorePath's label with prefix and suffix
GLIBC_VERSION = r"[0-9]{1,4}\.[0-9]{1,4}"
GLIBC = rf"glibc(?:@{GLIBC_VERSION})?"
MACOS = r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}"
ARCHITECTURE = r"-[a-z0-9_]+"  # after a Python implementation

_ALL = (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION)
_UPPER = _ALL[1:]
_STRINGS = {"type": "array", "items": {"type": "string"}}
_STRING_TABLE = {"type": "object", "additionalProperties": {"type": "string"}}


def _text(pattern: str = "") -> Mapping[str, object]:
    return {"type": "string", **({"pattern": f"^(?:{pattern})$"} if pattern else {})}


@frozen(kw_only=False)
class LayerKey:
    """A key of a layer: the kinds of layer that have it, its meaning, and its values as JSON schema describes them."""

    name: str
    kinds: tuple[Kind, ...]
    schema: Mapping[str, object]
    meaning: str
    required: bool = False


KEYS = (
    LayerKey("name", _ALL, _text(LAYER_NAME), "Name, distinct within its array, also without regard to case.", True),
    LayerKey("requirements", _ALL, _STRINGS, "Packages that the layer needs (PEP 508). May be empty.", True),
    LayerKey("versioned", _ALL, {"type": "boolean"}, "Whether exports have a number that grows with each lock."),
    LayerKey(
        "platforms",
        _ALL,
        {"type": "array", "items": {"enum": [str(target) for target in Target]}},
        "Platforms that the lock must cover. The default are those of the layers below.",
    ),
    LayerKey("linux_target", _ALL, _text(GLIBC), "Newest glibc that wheels may need. The default is glibc@2.28."),
    LayerKey("macosx_target", _ALL, _text(MACOS), "Newest macOS that wheels may need. The default is 13.0."),
    LayerKey("dynlib_exclude", _ALL, _STRINGS, "Patterns of shared libraries that are not offered by plain name."),
    LayerKey("package_indexes", _ALL, _STRING_TABLE, "Index of each distribution, here and in the layers above."),
    LayerKey("index_overrides", _ALL, _STRING_TABLE, "Index to use in place of an index that a layer below uses."),
    LayerKey("priority_indexes", _ALL, _STRINGS, "Indexes to ask first, for this layer only."),
    LayerKey(
        "python_implementation",
        _ALL[:1],
        _text(f"(?:{REQUIREMENT})(?:{ARCHITECTURE})?"),
        "The interpreter: cpython, cpython@3.11, cpython@3.11.7 or cpython@>=3.11,<3.14.",
    ),
    LayerKey("runtime", _UPPER, _text(), "Runtime that the layer is built on."),
    LayerKey("frameworks", _UPPER, {**_STRINGS, "minItems": 1, "uniqueItems": True}, "Frameworks below the layer."),
    LayerKey("launch_module", _ALL[2:], _text(), "A .py file, or a package's folder, to start. Relative.", True),
    LayerKey("support_modules", _ALL[2:], _STRINGS, "More files and folders, beside the launch module. Relative."),
)


@cache
def keys_of(kind: Kind) -> tuple[str, ...]:
    """Return the names of the keys that a layer of a kind may have."""
    return tuple(key.name for key in KEYS if kind in key.kinds)
