"""The requirements of a layer: PEP 508, each for a package that wheels are found of, and without a login."""

from __future__ import annotations

from collections.abc import Iterable

from vstore.credentials import has_credentials, redact
from vstore.spec.reader import Table
from vstore.spec.requirement_hints import misread, mistyped

LOGIN_HINT = (
    "give logins by UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, by ~/.netrc, or by a keyring"
    " (keyring-provider in [tool.uv])"
)


def read_requirements(table: Table, *, check: bool) -> tuple[str, ...]:
    """The declared requirements, as they are written; `check` parses them, which costs an import of 60 ms."""
    requirements = table.strings("requirements", required=True) or ()
    if check and requirements:
        _check(table, requirements)
    return requirements


def _check(table: Table, requirements: Iterable[str]) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    for number, written in enumerate(requirements):
        key, text = f"requirements[{number}]", written.strip()
        if has_credentials(text):
            table.wrong(key, f"holds a login, which locks would write down: {redact(text)}", LOGIN_HINT)
        elif wrong := misread(text, table.mistakes.spec):
            table.wrong(key, wrong.fault, wrong.hint)
        else:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                table.wrong(key, f"invalid requirement syntax: {error}", mistyped(text))
