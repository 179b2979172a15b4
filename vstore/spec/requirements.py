"""The requirements of a layer: PEP 508, for packages that have wheels, without logins."""

from __future__ import annotations

from collections.abc import Iterable

from vstore.credentials import has_credentials, redact
from vstore.spec.reader import Table
from vstore.spec.requirement_hints import find_misuse, syntax_hint

LOGIN_HINT = (
    "give logins by UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, by ~/.netrc, or by a keyring"
    " (keyring-provider in [tool.uv])"
)


def read_requirements(table: Table, *, check: bool) -> tuple[str, ...]:
    """Read the declared requirements. With `check` their syntax is checked, which costs an import of 60 ms."""
    requirements = table.strings("requirements", required=True) or ()
    if check and requirements:
        _check(table, requirements)
    return requirements


def _check(table: Table, requirements: Iterable[str]) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    for number, written in enumerate(requirements):
        key, text = f"requirements[{number}]", written.strip()
        if has_credentials(text):
            table.add_mistake(key, f"holds a login, which locks would write down: {redact(text)}", LOGIN_HINT)
        elif misuse := find_misuse(text, table.mistakes.spec):
            table.add_mistake(key, misuse.problem, misuse.hint)
        else:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                table.add_mistake(key, f"invalid requirement syntax: {error}", syntax_hint(text))
