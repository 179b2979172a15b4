"""Documents about profiles and their generations."""

from __future__ import annotations

from typing import Annotated, TypedDict


class GenerationDocument(TypedDict):
    """A generation of a profile."""

    generation: Annotated[int, "Number, never used again"]
    path: Annotated[str, "Store path of its stack"]
    created_at: Annotated[str, "Time at which it was made"]
    current: Annotated[bool, "Whether the profile points to it"]
    replaced: Annotated[int | None, "Number of the generation that was current before"]
    used_on: Annotated[str | None, "Day of the last use (UTC), `YYYY-MM-DD`"]


class SwitchDocument(GenerationDocument):
    """The generation that is now current."""

    profile: Annotated[str, "Name of the profile"]


class ProfileDocument(TypedDict):
    """A profile. Without a current generation the last five are null."""

    profile: Annotated[str, "Name"]
    generations: Annotated[int, "Number of its generations"]
    generation: Annotated[int | None, "Number of the current generation"]
    path: Annotated[str | None, "Store path of the current stack"]
    created_at: Annotated[str | None, "Time at which the current generation was made"]
    replaced: Annotated[int | None, "Number of the generation that it replaced"]
    used_on: Annotated[str | None, "Day of the last use of the current stack (UTC), `YYYY-MM-DD`"]


class ChangeDocument(TypedDict):
    """A package that differs between two generations or locks."""

    layer: Annotated[str, "Name of the layer"]
    package: Annotated[str, "Normalised name of the package"]
    old: Annotated[str | None, "Old version, null if it is new"]
    new: Annotated[str | None, "New version, null if it is gone"]


class AdvisoryChangeDocument(TypedDict):
    """A known vulnerability that only one of two generations has."""

    change: Annotated[str, "`gone` or `new`"]
    id: Annotated[str, "Identifier of the advisory"]
    aliases: Annotated[list[str], "All other identifiers of the same vulnerability"]
    package: Annotated[str, "Normalised name of the package"]
    version: Annotated[str, "Version that has it"]
    severity: Annotated[str | None, "Severity, as `audit` has it"]


class DiffDocument(TypedDict):
    """The difference of two generations."""

    profile: Annotated[str, "Name of the profile"]
    old: Annotated[int, "Number of the old generation"]
    new: Annotated[int, "Number of the new generation"]
    changes: Annotated[list[ChangeDocument], "Packages that differ"]
    advisories: Annotated[
        list[AdvisoryChangeDocument] | None,
        "Known vulnerabilities that come and go, null unless `audit.database` is set",
    ]


class ForgetDocument(TypedDict):
    """Generations that were forgotten."""

    profile: Annotated[str, "Name of the profile"]
    forgotten: Annotated[list[int], "Numbers of the generations"]
    dry_run: Annotated[bool, "Whether nothing was changed"]
