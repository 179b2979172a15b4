"""Reading one advisory in the format of OSV (https://ossf.github.io/osv-schema/), which is not trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from vstore.audit.model import Advisory, Bound, Events
from vstore.digest import parse_json
from vstore.documents import FieldError, Fields

_ECOSYSTEM = "pypi"
_ID_CHARACTERS = 200
_SUMMARY_CHARACTERS = 200
_PERHAPS_ALIAS = re.compile(rb"[\s\[{,:\-]&[A-Za-z0-9_-]")  # an anchor of YAML, or a word of a text
_ORDER = {one: number for number, one in enumerate(("ADVISORY", "REPORT", "ARTICLE", "WEB"))}


def parse_document(name: str, data: bytes) -> object:
    """Return the document of a file, which is YAML if it is called so, else JSON. Raises ValueError.

    Aliases of YAML are refused: a short file could stand for an endless document.
    """
    try:
        if not name.endswith((".yaml", ".yml")):
            return parse_json(data)
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            if _PERHAPS_ALIAS.search(data) and any(
                isinstance(one, yaml.AliasEvent) for one in yaml.parse(data, loader)
            ):
                raise ValueError("YAML with aliases")
            document = yaml.load(data, loader)
            json.dumps(document, skipkeys=True, ensure_ascii=False, default=str).encode()  # without surrogates
            return document
        except yaml.YAMLError as error:
            raise ValueError(f"not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_advisories(document: object) -> list[Advisory]:
    """Return an advisory for each package of PyPI that a document is about; none if it is withdrawn.

    Raises ValueError if the document is malformed.
    """
    fields = Fields(document)
    if fields.values.get("withdrawn") is not None:
        return []
    found: dict[str, list[Fields]] = {}
    for affected in fields.tables("affected"):
        package = affected.table("package")
        if str(package.values.get("ecosystem", "")).partition(":")[0].lower() == _ECOSYSTEM:
            found.setdefault(canonicalize_name(package.text("name")), []).append(affected)
    return [_advisory(fields, name, entries) for name, entries in found.items()]


def _advisory(fields: Fields, package: str, entries: list[Fields]) -> Advisory:
    identifiers = (fields.text("id"), *fields.texts("aliases"))
    if any(len(one) > _ID_CHARACTERS for one in identifiers):
        raise FieldError(f"an identifier has more than {_ID_CHARACTERS} characters")
    versions = tuple(dict.fromkeys(_canonical(one) for entry in entries for one in entry.texts("versions")))
    return Advisory(
        id=identifiers[0],
        package=package,
        aliases=identifiers[1:],
        summary=_summary(fields),
        url=_url(fields),
        vectors=tuple(one.text("score") for table in (fields, *entries) for one in table.tables("severity")),
        word=_word(fields, *entries),
        ranges=tuple(one for entry in entries for one in _ranges(entry)),
        versions=versions,
    )


@lru_cache(1 << 16)
def _canonical(version: str) -> str:
    return canonicalize_version(version)


def _ranges(entry: Fields) -> Iterator[Events]:
    """Yield the ranges of versions. Commits (GIT) are left out.

    A bound that is no version by PEP 440 cannot be compared. The explicit versions stand for its range if there are
    any; else the range has no such bound, so that no affected version is missed.
    """
    for one in entry.tables("ranges"):
        if one.text("type") == "GIT":
            continue
        events = [_event(event) for event in one.tables("events")]
        if not any(bound == Bound.INTRODUCED for bound, _ in events):
            raise one.error("events", "an event `introduced`")
        readable = [(bound, version) for bound, version in events if _is_version(version)]
        if len(readable) == len(events):
            yield tuple(events)
        elif not entry.texts("versions"):
            opened = [
                (bound, "0") for bound, version in events if bound == Bound.INTRODUCED and not _is_version(version)
            ]
            yield (*opened, *readable)


def _event(event: Fields) -> tuple[Bound, str]:
    known = [one for one in Bound if one in event]
    if len(known) != 1:
        raise FieldError(f"an event has one of {', '.join(Bound)}, found {sorted(event.values)[:5]}")
    return known[0], event.text(known[0])


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return text == "*"  # of a limit
    return True


def _summary(fields: Fields) -> str:
    text = fields.optional_text("summary") or fields.optional_text("details") or ""
    line = " ".join(text.strip().partition("\n\n")[0].split())
    return line if len(line) <= _SUMMARY_CHARACTERS else line[: _SUMMARY_CHARACTERS - 1].rpartition(" ")[0] + "…"


def _url(fields: Fields) -> str | None:
    found = [(one.text("type"), one.text("url")) for one in fields.tables("references")]
    found = [one for one in found if one[1].startswith(("https://", "http://"))]
    return min(found, key=lambda one: _ORDER.get(one[0], len(_ORDER)))[1] if found else None


def _word(*tables: Fields) -> str | None:
    """Return the severity in the words of the database, where databases write it."""
    for table in tables:
        for key in ("database_specific", "ecosystem_specific"):
            inner = table.values.get(key)
            if isinstance(inner, dict) and isinstance(word := inner.get("severity"), str):
                return word.lower()
    return None
