"""The variables that uv sees: the user's, without what would lead it astray, and with paths that lead where they did.

uv is run in folders of vstore's own, on projects of vstore's own. So a variable that names a place relative to the
folder that the user is in is made absolute, and one that says how to treat a project of the user's has no part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.errors import UsageError

_OF_ITSELF = frozenset(
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
_OF_RESOLUTIONS = frozenset(("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE"))  # uv refuses them beside a file of PEP 751
_AS_SETTINGS = {"UV_OVERRIDE": "override-dependencies", "UV_EXCLUDE": "exclude-dependencies"}
_PLACES = {  # what stands between several of them
    **dict.fromkeys(("NETRC", "SSL_CERT_FILE", "SSL_CLIENT_CERT"), ""),
    **dict.fromkeys(("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_PYTHON_DOWNLOADS_JSON_URL"), ""),
    **dict.fromkeys(("UV_PYTHON_INSTALL_DIR", "UV_PYTHON_CACHE_DIR"), ""),
    "SSL_CERT_DIR": os.pathsep,
    "UV_FIND_LINKS": ",",
    **dict.fromkeys(("UV_INDEX", "UV_EXTRA_INDEX_URL", *_OF_RESOLUTIONS), " "),
}
_NAMED = re.compile(r"([A-Za-z0-9][\w.-]*=)?(.+)", re.DOTALL)  # an index may have a name before it


def environment_of(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> dict[str, str]:
    """The user's environment for this call of uv. Relative places are those of the current folder."""
    left_out = _OF_ITSELF | _OF_PROJECTS
    if list(arguments[:2]) != ["pip", "compile"]:
        left_out |= _OF_RESOLUTIONS
    kept = {name: value for name, value in environment.items() if name not in left_out}
    return {**kept, **{name: _absolute(kept[name], between) for name, between in _PLACES.items() if kept.get(name)}}


def refuse_changed_dependencies(environment: Mapping[str, str]) -> None:
    """Refuse variables that change what packages depend on: only a resolution knows them, and a lock is checked again.

    Raises UsageError with the setting that stands for them.
    """
    for variable, setting in _AS_SETTINGS.items():
        if environment.get(variable):
            raise UsageError(
                f"{variable} is set, which a lock cannot follow",
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
