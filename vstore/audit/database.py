"""A database of advisories, by package. It is parsed once; the result is kept in the cache of a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from vstore.audit.model import Advisory, Bound
from vstore.audit.osv import parse_document, read_advisories
from vstore.audit.sources import MAX_FILE_BYTES, NO_DATABASE_HINT, AdvisorySource
from vstore.digest import hash_bytes
from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.extras import require_extra
from vstore.fs.atomic import write_file
from vstore.fs.reading import read_regular
from vstore.plural import count
from vstore.reporter import NullReporter, Reporter

_FORMAT = 2
_MAX_CACHE_BYTES = 1 << 30
_MOST_WARNINGS = 20
_REPORT_EACH = 200  # files


class AdvisoryDatabase:
    """Advisories by package. `place` is where they come from, `size` their number.

    `warnings` are about files that could not be read, one for each.
    """

    def __init__(self, place: str, size: int, packages: Mapping[str, str], warnings: Iterable[str] = ()) -> None:
        self.place = place
        self.size = size
        self.warnings = tuple(warnings)
        self._packages = packages
        self._read: dict[str, tuple[Advisory, ...]] = {}

    @classmethod
    def open(cls, source: AdvisorySource, cache: Path | None = None, *, reporter: Reporter | None = None) -> Self:
        """Read a database.

        `cache` is the folder for the parsed form of the last database that each place had. Raises UsageError if there
        is no database, or if the extra `audit` is not installed, and TransportError.
        """
        require_extra("audit", "audits")
        reporter = reporter or NullReporter()
        state = source.identity()
        file = cache / f"{hash_bytes('database 1', source.place.encode()).short}.json" if cache else None
        found = cls._cached(source.place, state, file) if file else None
        if found is None:
            found = cls._parse(source, reporter)
            if file is not None:
                found._keep(state, file)
        for line in found.warnings[:_MOST_WARNINGS]:
            reporter.warn(line)
        if len(found.warnings) > _MOST_WARNINGS:
            reporter.warn(f"{count(len(found.warnings) - _MOST_WARNINGS, 'more file')} of the database cannot be read")
        return found

    @classmethod
    def of(cls, place: str, advisories: Iterable[Advisory], warnings: Iterable[str] = ()) -> Self:
        """Return the database with these advisories."""
        by_package: dict[str, list[Advisory]] = {}
        identifiers = set()
        for one in advisories:
            by_package.setdefault(one.package, []).append(one)
            identifiers.add(one.id)
        texts = {name: json.dumps([_as_json(one) for one in found]) for name, found in by_package.items()}
        return cls(place, len(identifiers), texts, warnings)

    @property
    def packages(self) -> tuple[str, ...]:
        """The normalised names of the packages that have advisories, sorted."""
        return tuple(sorted(self._packages))

    def advisories(self, package: str) -> tuple[Advisory, ...]:
        """Return the advisories about a package, by its normalised name."""
        if package not in self._read:
            text = self._packages.get(package)
            rows = [] if text is None else json.loads(text)
            self._read[package] = tuple(_from_json(package, Fields(row)) for row in rows)
        return self._read[package]

    @classmethod
    def _parse(cls, source: AdvisorySource, reporter: Reporter) -> Self:
        found, warnings, files = [], [], 0
        for name, data in source.files():
            files += 1
            if files % _REPORT_EACH == 1:
                reporter.progress("advisories", "reading", files)
            try:
                if data is None:
                    raise ValueError(f"larger than {MAX_FILE_BYTES} bytes, or not readable")
                found += read_advisories(parse_document(name, data))
            except ValueError as error:
                warnings.append(f"advisory {name} is left out: {' '.join(str(error).split())[:200]}")
        if not files:
            raise UsageError(
                f"the database of advisories is empty: {source.place}",
                hint="its files end in .json, .yaml or .yml",
            )
        if not found:
            raise UsageError(
                f"the database of advisories has none about a package of PyPI: {source.place}",
                details=warnings[:_MOST_WARNINGS],
                hint=NO_DATABASE_HINT,
            )
        return cls.of(source.place, found, warnings)

    @classmethod
    def _cached(cls, place: str, state: str, file: Path) -> Self | None:
        with suppress(OSError, ValueError, RecursionError):
            fields = Fields(json.loads(read_regular(file, limit=_MAX_CACHE_BYTES)))
            if fields.integer("format") == _FORMAT and fields.text("state") == state:
                packages = fields.texts_by_key("packages")
                return cls(place, fields.integer("size"), packages, fields.texts("warnings"))
        return None

    def _keep(self, state: str, file: Path) -> None:
        """Write the parsed form for the next audit, if this user may write to the store."""
        document = {"format": _FORMAT, "state": state, "size": self.size, "warnings": self.warnings}
        with suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            write_file(file, json.dumps({**document, "packages": dict(self._packages)}).encode(), durable=False)


def _as_json(one: Advisory) -> dict[str, object]:
    return {
        "id": one.id,
        "aliases": one.aliases,
        "summary": one.summary,
        "url": one.url,
        "vectors": one.vectors,
        "word": one.word,
        "ranges": one.ranges,
        "versions": one.versions,
    }


def _from_json(package: str, row: Fields) -> Advisory:
    ranges = row.values["ranges"]
    assert isinstance(ranges, list)
    return Advisory(
        id=row.text("id"),
        package=package,
        aliases=row.texts("aliases"),
        summary=row.text("summary"),
        url=row.optional_text("url"),
        vectors=row.texts("vectors"),
        word=row.optional_text("word"),
        ranges=tuple(tuple((Bound(bound), str(version)) for bound, version in events) for events in ranges),
        versions=row.texts("versions"),
    )
