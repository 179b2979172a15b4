"""The requirements of a layer: PEP 508, each for a package that wheels are found of, and without a login."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlparse

from vstore.credentials import has_credentials, redact
from vstore.spec.reader import Table

LOGIN_HINT = (
    "give logins by UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, by ~/.netrc, or by a keyring"
    " (keyring-provider in [tool.uv])"
)
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]+(?P<place>.+)")
_PLACE = re.compile(
    r"(?:\.{1,2}$|\.{0,2}[/\\]|~[/\\]|file:|[A-Za-z]:[/\\]|(?:git|hg|svn|bzr)\+|[a-z]+://).*", re.DOTALL
)
_ARCHIVE = re.compile(r"[^\s;@]+-\d[^\s;@]*\.(?:whl|tar\.gz|tgz|tar\.bz2|tar\.xz|zip)$")
_BARE_FOLDER = re.compile(r"[\w.-]+[/\\][\w./\\-]*$")


def read_requirements(table: Table, *, check: bool) -> tuple[str, ...]:
    """The declared requirements, as they are written; `check` parses them, which costs an import of 60 ms."""
    requirements = table.strings("requirements", required=True) or ()
    if check and requirements:
        _check(table, requirements)
    return requirements


def wheel_hint(source: str) -> str:
    """The commands that make a wheel of a source folder, an archive or a repository, and offer it."""
    place = redact(source)
    if urlparse(place).scheme in ("http", "https"):
        step = f"download {place} and run `uv build --wheel -o wheels` on it"
    elif "+" in place.partition("://")[0]:
        step = f"check {place.partition('+')[2]} out and run `uv build --wheel -o wheels` on it"
    else:
        step = f"run `uv build --wheel -o wheels {place.removeprefix('file://').removeprefix('file:')}`"
    return f"{step}, require the package by its name, and pass `--local-wheels wheels`"


def _check(table: Table, requirements: Iterable[str]) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    for number, text in enumerate(requirements):
        key = f"requirements[{number}]"
        if has_credentials(text):
            table.wrong(key, f"holds a login, which locks would write down: {redact(text)}\n  {LOGIN_HINT}")
            continue
        try:
            if _ARCHIVE.match(text):  # which may be read as a name
                raise InvalidRequirement(text)
            Requirement(text)
        except InvalidRequirement as error:
            table.wrong(key, _explained(text.strip(), error))


def _explained(text: str, error: Exception) -> str:
    """Why a requirement is none, with the way to have what it means."""
    editable = _EDITABLE.match(text)
    if editable:
        place = editable["place"].strip()
        return f"an editable requirement is not possible: layers never change: {text}\n  {wheel_hint(place)}"
    if text.startswith("-"):
        return f"an option, not a requirement: {text}\n  settings for resolving go into [tool.uv]"
    if _PLACE.match(text) or _ARCHIVE.match(text) or _BARE_FOLDER.match(text):
        if text.partition("#")[0].endswith(".whl"):
            return f"a wheel without its name: {text}\n  write `NAME @ URL`, or NAME, and pass --local-wheels FOLDER"
        return f"a place with source code, and only wheels are used: {text}\n  {wheel_hint(text)}"
    return f"invalid requirement syntax: {error}"
