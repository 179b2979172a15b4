"""`audit.toml`: the vulnerabilities to ignore, each with a reason. The file lies in the root or beside a spec."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path

from packaging.utils import canonicalize_name

from vstore.audit.model import Audit, AuditIgnore, Vulnerability
from vstore.documents import FieldError, Fields
from vstore.errors import UsageError
from vstore.fs.reading import read_regular
from vstore.reporter import Reporter
from vstore.toml import TomlError, parse_toml
from vstore.values import replace

IGNORES_FILE = "audit.toml"
_KEYS = frozenset(("id", "reason", "package", "expires"))
_MAX_BYTES = 1 << 20


def read_ignores(folder: Path) -> tuple[AuditIgnore, ...]:
    """Return the ignores in `audit.toml` of a folder; none if it has no such file.

    Raises UsageError if the file is malformed, as a misspelt ignore must not be taken for none.
    """
    file = folder / IGNORES_FILE
    try:
        document = Fields(parse_toml(read_regular(file, limit=_MAX_BYTES)))
        if unknown := document.values.keys() - {"ignore"}:
            raise FieldError(f"{min(unknown)}: no such key, the only one is `ignore`")
        return tuple(_ignore(one, file) for one in document.tables("ignore"))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (TomlError, FieldError) as error:
        raise UsageError(f"{file}: {error}", hint="docs/audit.md describes the file") from error


def _ignore(table: Fields, file: Path) -> AuditIgnore:
    if unknown := table.values.keys() - _KEYS:
        raise FieldError(f"ignore.{min(unknown)}: no such key, known: {', '.join(sorted(_KEYS))}")
    reason, package = table.text("reason"), table.optional_text("package")
    if not reason.strip():
        raise table.error("reason", "the reason, as a text")
    expires = table.values.get("expires")
    if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
        raise table.error("expires", "a date such as 2027-01-31")
    return AuditIgnore(
        id=table.text("id"),
        reason=reason,
        file=file,
        package=canonicalize_name(package) if package is not None else None,
        expires_on=expires,
    )


class Ignores:
    """The ignores of a root, and of specs. Those beside a spec hold for the profiles that were realised from it.

    With `spec` they are those of an audit of its locks. A malformed file there or in the root is a UsageError; beside
    the spec of a profile, which may be another user's, it is a warning.
    """

    def __init__(self, root: Path | None, *, today: date, reporter: Reporter, spec: Path | None = None) -> None:
        self._today = today
        self._reporter = reporter
        self._spec = spec
        self._general = read_ignores(root) if root is not None else ()
        self._folders = {spec.parent: read_ignores(spec.parent)} if spec is not None else {}
        self._used: set[AuditIgnore] = set()

    def applied(self, audit: Audit) -> Audit:
        """Return the audit with its ignored vulnerabilities apart."""
        marked = [replace(one, ignored=self._ignore(one)) for one in audit.found]
        every = {*self._general, *(one for found in self._folders.values() for one in found)}
        expired = {one for one in every if self._is_expired(one)}
        return replace(
            audit,
            found=tuple(one for one in marked if one.ignored is None),
            ignored=tuple(one for one in marked if one.ignored is not None),
            expired=_sorted(expired),
            unused=_sorted(every - expired - self._used),
        )

    def _ignore(self, one: Vulnerability) -> AuditIgnore | None:
        """Return the ignore of a vulnerability: of the root, of the spec, or of all profiles that have it."""
        if found := self._match(self._general, one):
            return found
        specs = [self._spec] if self._spec is not None else [exposure.spec for exposure in one.exposures]
        each = [self._match(self._beside(spec), one) if spec is not None else None for spec in specs]
        return each[0] if each and all(each) and not one.roots else None

    def _beside(self, spec: Path) -> tuple[AuditIgnore, ...]:
        folder = spec.parent
        if folder not in self._folders:
            self._folders[folder] = ()
            try:
                self._folders[folder] = read_ignores(folder)
            except UsageError as error:
                self._reporter.warn(f"ignores are left out: {error.message}")
        return self._folders[folder]

    def _match(self, ignores: Iterable[AuditIgnore], one: Vulnerability) -> AuditIgnore | None:
        for ignore in ignores:
            about = ignore.id in one.identifiers and ignore.package in (None, one.package)
            if about and not self._is_expired(ignore):
                self._used.add(ignore)
                return ignore
        return None

    def _is_expired(self, ignore: AuditIgnore) -> bool:
        return ignore.expires_on is not None and ignore.expires_on <= self._today


def _sorted(ignores: Iterable[AuditIgnore]) -> tuple[AuditIgnore, ...]:
    return tuple(sorted(ignores, key=lambda one: (str(one.file), one.id, one.package or "")))
