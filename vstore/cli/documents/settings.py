"""Documents of `completion`, `config` and `schema`."""

from __future__ import annotations

from typing import Annotated, TypedDict


class CompletionDocument(TypedDict):
    """A script for a shell."""

    shell: Annotated[str, "`bash`, `zsh` or `fish`"]
    script: Annotated[str, "The script"]
