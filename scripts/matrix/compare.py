"""Differences between a layer's environment and a plain venv, as rows of a table. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

_NOT_COMPARED = re.compile(  # what installers write of themselves, and what is vstore's own
    r"(^|/)(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json|uv_build\.json)$|^_virtualenv\.|^vstore/|^venv/metadata/|^\.lock$"
)
_OF_THE_VENV = re.compile(r"^(activate.*|deactivate.*|python.*|pydoc\.bat|pip\d.*)$|^Activate\.ps1$")
_FRAME = re.compile(r'(?<=File "<place>", line )\d+|(?<=<place>:)\d+')  # a script of ours has other lines than uv's
_SECONDS = re.compile(r"\b\d+(\.\d+)? ?(s|ms|seconds?)\b|\d{2}:\d{2}:\d{2}|0x[0-9a-f]{6,}")


class Difference(NamedTuple):
    """One thing that is not the same; `layer` and `plain` are what was seen there."""

    subject: str
    layer: object
    plain: object


class Row(NamedTuple):
    """A comparison: how many things, which were not the same, and how many fail in the plain venv too.

    `meant` are the differences on purpose.
    """

    what: str
    compared: int
    differences: tuple[Difference, ...]
    failing: int = 0
    meant: tuple[Difference, ...] = ()


def mappings(what: str, layer: Mapping[str, Any], plain: Mapping[str, Any]) -> Row:
    """Compare two mappings key by key."""
    names = sorted(layer.keys() | plain.keys())
    found = (Difference(name, layer.get(name, "absent"), plain.get(name, "absent")) for name in names)
    return Row(what, len(names), tuple(one for one in found if one.layer != one.plain))


def set_apart(row: Row, meant: Collection[str]) -> Row:
    """Set those differences apart that are meant: the last words of their subjects."""
    found = tuple(one for one in row.differences if one.subject.rpartition(" ")[2] in meant)
    return row._replace(differences=tuple(one for one in row.differences if one not in found), meant=found)


def inventories(layer: Mapping[str, Any], plain: Mapping[str, Any], told: Collection[str]) -> Iterator[Row]:
    """Compare what `probe.inventory` found, without the files in site-packages that the layer told of."""
    yield mappings("distributions", layer["distributions"], plain["distributions"])
    own = {path.removesuffix(".py").replace("/", ".") for path in told} - plain["modules"].keys()
    yield mappings(
        "modules", {name: one for name, one in layer["modules"].items() if name not in own}, plain["modules"]
    )
    yield mappings("files", _compared(layer["site files"], told), _compared(plain["site files"], told))
    for folder in ("share", "etc", "include"):
        found = [_compared(one["data files"][folder], ()) for one in (layer, plain)]
        yield mappings(f"files in {folder}", *found)
    names = [{name: 1 for name in one["data files"]["bin"] if not _OF_THE_VENV.match(name)} for one in (layer, plain)]
    yield mappings("names of scripts", *names)
    yield mappings("paths of sysconfig", *(_inside(one["paths"]) for one in (layer, plain)))


def _inside(paths: Mapping[str, str]) -> dict[str, str]:
    """Where the environment has what; of a place outside only what is below the interpreter."""
    return {
        key: re.sub(r".*/store/[^/]+|\.\./[0-9a-z]{32}-[^/]+", "<interpreter>", path) for key, path in paths.items()
    }


def _compared(files: Mapping[str, Any], told: Collection[str]) -> dict[str, Any]:
    return {path: seen for path, seen in files.items() if not _NOT_COMPARED.search(path) and path not in told}


def outputs(what: str, layer: Mapping[str, Any], plain: Mapping[str, Any], places: Mapping[str, str]) -> Row:
    """Compare texts in which `places` (path → word), times, and where lines are broken may differ."""
    row = mappings(what, _plain_text(layer, places), _plain_text(plain, places))
    found = (one for one in row.differences if _unbroken(layer, one, places) != _unbroken(plain, one, places))
    return row._replace(differences=tuple(found), failing=sum("failed" in one for one in plain.values()))


def _unbroken(found: Mapping[str, Any], one: Difference, places: Mapping[str, str]) -> str:
    """The text without blanks: a path may be broken over lines."""
    text = "".join(json.dumps(found.get(one.subject), sort_keys=True).replace("\\n", "").split())
    for place, word in places.items():
        text = text.replace(place, word)
    return _SECONDS.sub("<time>", text)


def _plain_text(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for place, word in places.items():
            value = value.replace(place, word)
        value = _FRAME.sub("<n>", re.sub(r"<env>(/[^\s'\":,]*)?", "<place>", value))
        return " ".join(_SECONDS.sub("<time>", value).split())
    if isinstance(value, Mapping):
        return {key: _plain_text(one, places) for key, one in value.items()}
    return [_plain_text(one, places) for one in value] if isinstance(value, list) else value
