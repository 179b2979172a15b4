"""Documents of `completion`, `config` and `schema`."""

from __future__ import annotations

from typing import Annotated, TypedDict


class CompletionDocument(TypedDict):
    """A script for a shell."""

    shell: Annotated[str, "`bash`, `zsh` or `fish`"]
    script: Annotated[str, "The script"]


class SettingDocument(TypedDict):
    """A key of config.toml."""

    key: Annotated[str, "Key, as in TOML"]
    value: Annotated[str | int | list[str] | None, "Value in the file; null if it is not set there"]
    default: Annotated[str | None, "Default, as in TOML; null if there is none"]
    expected: Annotated[str | None, "Kind of values, in words; null for a key that vstore does not know"]
    meaning: Annotated[str | None, "Effect; null for a key that vstore does not know"]


class ConfigPathDocument(TypedDict):
    """The place of config.toml."""

    path: Annotated[str, "Absolute path"]
    exists: Annotated[bool, "Whether there is such a file"]
