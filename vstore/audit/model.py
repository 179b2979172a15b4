"""The values of an audit: advisories, and the vulnerabilities that they describe in a store or in locks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from vstore.objects import StorePath
from vstore.plural import count
from vstore.values import frozen

MALICIOUS = "MAL-"  # the start of the identifiers of malicious packages


class Bound(StrEnum):
    """The kind of an event of a range of versions."""

    INTRODUCED = "introduced"
    FIXED = "fixed"
    LAST_AFFECTED = "last_affected"
    LIMIT = "limit"


Events = tuple[tuple[Bound, str], ...]


class Severity(NamedTuple):
    """A severity: a word, and the score of CVSS from 0.0 to 10.0 if there is one."""

    word: str
    score: float | None = None

    def __str__(self) -> str:
        return self.word if self.score is None else f"{self.word} {self.score}"


@frozen
class Advisory:
    """An advisory, as far as it is about one package. `package` is normalised (PEP 503).

    `vectors` are those of CVSS, `word` is the severity in the words of the database. A version is affected if it is in
    `versions`, or if one of the `ranges` contains it.
    """

    id: str
    package: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    url: str | None = None
    vectors: tuple[str, ...] = ()
    word: str | None = None
    ranges: tuple[tuple[tuple[Bound, str], ...], ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def is_malicious(self) -> bool:
        """Whether the advisory says that the package is malicious, not that it has a mistake."""
        return any(one.startswith(MALICIOUS) for one in (self.id, *self.aliases))


class WayKind(StrEnum):
    """The kind of a way out of a vulnerability. The last three need a decision of a person."""

    ROLLBACK = "rollback"
    UPGRADE = "upgrade"
    FORGET = "forget"
    REMOVE_ROOT = "remove-root"
    BLOCKED = "blocked"
    NOT_FIXED = "not-fixed"
    NO_SPEC = "no-spec"


class WayOut(NamedTuple):
    """The shortest way out of a vulnerability: a command, or the reason why there is none."""

    kind: WayKind
    command: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return self.command or self.reason or ""


class AuditIgnore(NamedTuple):
    """A vulnerability to ignore, by the identifier of an advisory, and the file that says so.

    It holds until the day before `expires_on`, and for one package if `package` is not None.
    """

    id: str
    reason: str
    file: Path
    package: str | None = None
    expires_on: date | None = None


@frozen
class Exposure:
    """The generations of a profile that have a vulnerability, oldest first.

    `since` is the time at which the oldest of them was made. `applications` are those of the current generation that
    use the package, or of the newest that has it if the current one does not. `spec` is the spec of the current
    generation.
    """

    profile: str
    generations: tuple[int, ...]
    since: datetime
    is_current: bool
    applications: tuple[str, ...]
    spec: Path | None
    way: WayOut


@frozen
class ExposedRoot:
    """A root other than a generation that keeps a vulnerability alive. `kind` is that of the root."""

    name: str
    kind: str
    since: datetime | None
    way: WayOut | None


@frozen
class Vulnerability:
    """A known vulnerability of one version of a package.

    `id` and `aliases` are all identifiers of the advisories about it. `fixed_in` are the later versions without it.
    `layers` are the names of the layers that have the package, `paths` their objects; an audit of locks has no paths,
    but their `lock_files`. `way` is the way out of a spec whose locks have it.
    """

    id: str
    aliases: tuple[str, ...]
    package: str
    version: str
    summary: str
    url: str | None
    severity: Severity | None
    is_malicious: bool
    fixed_in: tuple[str, ...]
    layers: tuple[str, ...]
    paths: tuple[StorePath, ...] = ()
    lock_files: tuple[Path, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    roots: tuple[ExposedRoot, ...] = ()
    way: WayOut | None = None
    ignored: AuditIgnore | None = None

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The identifier and its aliases."""
        return (self.id, *self.aliases)


@frozen
class Audit:
    """The result of an audit. The worst vulnerabilities come first.

    `packages` is the number of packages that were looked up, each version for itself. `unreachable` are the objects
    with a vulnerability that no root reaches. `expired` and `unused` are ignores without an effect.
    """

    database: str
    advisories: int
    packages: int
    found: tuple[Vulnerability, ...]
    ignored: tuple[Vulnerability, ...] = ()
    unreachable: tuple[StorePath, ...] = ()
    expired: tuple[AuditIgnore, ...] = ()
    unused: tuple[AuditIgnore, ...] = ()

    def summary(self) -> str:
        """Return the result as a sentence."""
        if not self.found:
            return f"no known vulnerabilities in {count(self.packages, 'package')}"
        bad = len({(one.package, one.version) for one in self.found})
        word = "vulnerability" if len(self.found) == 1 else "vulnerabilities"
        return f"{len(self.found)} known {word} in {bad} of {count(self.packages, 'package')}"


def worst_first(found: Iterable[Vulnerability]) -> tuple[Vulnerability, ...]:
    """Return vulnerabilities in the order of an audit."""

    def key(one: Vulnerability) -> tuple[bool, float, str, str, str]:
        score = one.severity.score if one.severity and one.severity.score is not None else 0.0
        return (not one.is_malicious, -score, one.package, one.version, one.id)

    return tuple(sorted(found, key=key))
