"""The environment of uv: the user's, without variables that would interfere, and with absolute paths.

uv is run in folders and on projects of vstore. So relative paths in variables, which are relative to the user's folder,
are made absolute, and variables that are about the user's projects are removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.errors import UsageError

_SET_BY_VSTORE = frozenset(
    [
        *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_COMPILE_BYTECODE", "UV_NO_PROGRESS"),
        *("UV_CONFIG_FILE", "UV_NO_CONFIG", "UV_PROJECT", "UV_PYTHON", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"),
    ]
)
_OF_PROJECTS = frozenset(
    [
        *("UV_FROZEN", "UV_LOCKED", "UV_NO_SYNC", "UV_NO_SOURCES", "UV_NO_SOURCES_PACKAGE", "UV_ISOLATED"),
        *("UV_DEV", "UV_NO_DEV", "UV_GROUP", "UV_NO_GROUP", "UV_NO_DEFAULT_GROUPS", "UV_NO_EDITABLE"),
        *("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD", "UV_NO_BUILD_PACKAGE", "UV_BUILD_CONSTRAINT"),
    ]
)
_OF_RESOLUTIONS = frozenset(("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE"))  # uv refuses them with a PEP 751 file
_AS_SETTINGS = {"UV_OVERRIDE": "override-dependencies", "UV_EXCLUDE": "exclude-dependencies"}
_PATHS = {  # the separator, if there may be several
    **dict.fromkeys(("NETRC", "SSL_CERT_FILE", "SSL_CLIENT_CERT"), ""),
    **dict.fromkeys(("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_PYTHON_DOWNLOADS_JSON_URL"), ""),
    **dict.fromkeys(("UV_PYTHON_INSTALL_DIR", "UV_PYTHON_CACHE_DIR"), ""),
    "SSL_CERT_DIR": os.pathsep,
    "UV_FIND_LINKS": ",",
    **dict.fromkeys(("UV_INDEX", "UV_EXTRA_INDEX_URL", *_OF_RESOLUTIONS), " "),
}
_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*=)?(.+)", re.DOTALL)  # an index may be written NAME=URL


def uv_environment(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment for a run of uv. Relative paths are relative to the current folder."""
    left_out = _SET_BY_VSTORE | _OF_PROJECTS
    if list(arguments[:2]) != ["pip", "compile"]:
        left_out |= _OF_RESOLUTIONS
    kept = {name: value for name, value in environment.items() if name not in left_out}
    return {**kept, **{name: _absolute(kept[name], between) for name, between in _PATHS.items() if kept.get(name)}}


def refuse_changed_dependencies(environment: Mapping[str, str]) -> None:
    """Raise UsageError for variables that change the dependencies of packages, naming the setting to use instead.

    uv applies them to resolutions only, and not when a lock is checked or listed.
    """
    for variable, setting in _AS_SETTINGS.items():
        if environment.get(variable):
            raise UsageError(
                f"{variable} is set, which is not supported",
                hint=f"unset it, and write its lines as `{setting} = [...]` in [tool.uv]",
            )


def _absolute(value: str, between: str) -> str:
    if not between:
        return _place(value)
    parts = value.split() if between == " " else value.split(between)
    return between.join(_place(part.strip()) for part in parts if part.strip())


def _place(text: str) -> str:
    name, place = _NAMED.fullmatch(text).groups(default="")  # type: ignore[union-attr]
    if "://" in place or place.startswith("file:"):
        return text
    return name + os.path.abspath(place)
