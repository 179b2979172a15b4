"""Documents about known vulnerabilities."""

from __future__ import annotations

from typing import Annotated, TypedDict


class WayOutDocument(TypedDict):
    """The shortest way out of a vulnerability."""

    kind: Annotated[
        str,
        "`rollback`, `upgrade`, `forget` or `remove-root`, with a command; `blocked`, `not-fixed` or `no-spec`, with"
        " the reason why there is none",
    ]
    command: Annotated[str | None, "The command that gets rid of it"]
    reason: Annotated[str | None, "The reason why there is no such command, such as the requirement in the way"]


class ExposureDocument(TypedDict):
    """A profile with generations that have the vulnerability."""

    profile: Annotated[str, "Name of the profile"]
    current: Annotated[bool, "Whether its current generation has it"]
    generations: Annotated[list[int], "Numbers of the generations that have it, the oldest first"]
    since: Annotated[str, "Time at which the oldest of them was made"]
    applications: Annotated[list[str], "Applications that use the package, of the current or the newest of them"]
    spec: Annotated[str | None, "Path of the spec of the current generation"]
    way_out: Annotated[WayOutDocument, "The shortest way out"]


class ExposedRootDocument(TypedDict):
    """Another root that keeps the vulnerability alive."""

    root: Annotated[str, "Its name, as `vstore roots` shows it"]
    kind: Annotated[str, "`user`, `temp` or `process`"]
    since: Annotated[str | None, "Time at which it was made, null if that is not known"]
    way_out: Annotated[WayOutDocument | None, "The shortest way out, null for a root that ends with its process"]


class VulnerabilityDocument(TypedDict):
    """A known vulnerability of one version of a package."""

    id: Annotated[str, "Identifier of the advisory"]
    aliases: Annotated[list[str], "All other identifiers of the same vulnerability"]
    package: Annotated[str, "Normalised name of the package"]
    version: Annotated[str, "Its version"]
    summary: Annotated[str, "Summary, or the start of the details, in one line"]
    url: Annotated[str | None, "A page about it"]
    severity: Annotated[
        str | None, "`none`, `low`, `medium`, `high`, `critical` or `malicious`; null if no advisory states one"
    ]
    score: Annotated[float | None, "Highest base score of CVSS, 0.0 to 10.0"]
    fixed_in: Annotated[list[str], "Later versions that are not affected, the lowest first"]
    layers: Annotated[list[str], "Names of the layers that have the package"]
    paths: Annotated[list[str], "Store paths of these layers; empty in an audit of locks"]
    lock_files: Annotated[list[str], "Paths of the locks that name the package; empty in an audit of a store"]
    profiles: Annotated[list[ExposureDocument], "Profiles that have it; empty in an audit of locks"]
    roots: Annotated[list[ExposedRootDocument], "Other roots that keep it alive"]
    way_out: Annotated[WayOutDocument | None, "In an audit of locks the shortest way out"]
    ignored: Annotated[str | None, "Reason to ignore it, null if it is not ignored"]


class AuditIgnoreDocument(TypedDict):
    """An ignore without an effect."""

    id: Annotated[str, "Identifier of the advisory"]
    file: Annotated[str, "Path of the file that has it"]
    expires_on: Annotated[str | None, "Day from which it does not count, `YYYY-MM-DD`"]


class AuditDocument(TypedDict):
    """The result of an audit."""

    database: Annotated[str, "Folder, archive or URL of the advisories"]
    advisories: Annotated[int, "Number of advisories in it about packages of Python"]
    packages: Annotated[int, "Number of packages that were looked up, each version for itself"]
    vulnerabilities: Annotated[list[VulnerabilityDocument], "The worst first"]
    ignored: Annotated[list[VulnerabilityDocument], "Those that `audit.toml` ignores"]
    unreachable: Annotated[list[str], "Store paths of layers with a vulnerability that no root reaches"]
    expired_ignores: Annotated[list[AuditIgnoreDocument], "Ignores that have expired"]
    unused_ignores: Annotated[list[AuditIgnoreDocument], "Ignores of what was not found"]
