"""The result of an audit in the format SARIF 2.1.0, for services that show findings beside code (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from vstore import __version__
from vstore.audit.model import Audit, Vulnerability

Document = dict[str, object]

_VERSION = "2.1.0"
_LEVELS: Mapping[str | None, str] = {"low": "note", "medium": "warning", "none": "note", None: "warning"}


def sarif_log(audit: Audit) -> dict[str, object]:
    """Return the document of SARIF. Ignored vulnerabilities are suppressed in it."""
    every = (*audit.found, *audit.ignored)
    rules = list({one.id: _rule(one) for one in every}.values())
    numbers = {str(rule["id"]): number for number, rule in enumerate(rules)}
    driver = {"name": "vstore", "version": __version__, "rules": rules}
    results = [result for one in every for result in _results(one, numbers[one.id])]
    return {"version": _VERSION, "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(one: Vulnerability) -> Document:
    properties: Document = {"tags": ["security", *one.aliases]}
    if one.severity is not None and one.severity.score is not None:
        properties["security-severity"] = str(one.severity.score)
    return {
        "id": one.id,
        "shortDescription": {"text": one.summary or f"known vulnerability of {one.package}"},
        "defaultConfiguration": {"level": _level(one)},
        "properties": properties,
        **({"helpUri": one.url} if one.url else {}),
    }


def _level(one: Vulnerability) -> str:
    return _LEVELS.get(one.severity.word if one.severity else None, "error")


def _results(one: Vulnerability, rule: int) -> Iterator[Document]:
    """Yield one result for each file that a person can change: a lock, or the spec of a profile."""
    files = one.lock_files or tuple(dict.fromkeys(each.spec for each in one.exposures if each.spec is not None))
    for file in files or (None,):
        location: Document = {"logicalLocations": list(_logical(one))}
        if file is not None:
            location["physicalLocation"] = {"artifactLocation": {"uri": _uri(file)}}
        yield {
            "ruleId": one.id,
            "ruleIndex": rule,
            "level": _level(one),
            "message": {"text": _message(one, file)},
            "locations": [location],
            "partialFingerprints": {"vulnerability/v1": f"{one.id} {one.package} {one.version}"},
            **(_suppression(one) if one.ignored else {}),
        }


def _uri(file: Path) -> str:
    """Return the URI of a file: relative to the current folder if it is below it, as services expect."""
    here = Path.cwd()
    if file.is_relative_to(here):
        return quote(file.relative_to(here).as_posix())
    return file.absolute().as_uri()


def _logical(one: Vulnerability) -> Iterable[Document]:
    names = [str(path) for path in one.paths] or list(one.layers)
    return ({"name": name, "kind": "module"} for name in names)


def _message(one: Vulnerability, file: Path | None) -> str:
    fixed = f"; fixed in {', '.join(one.fixed_in)}" if one.fixed_in else ""
    ways = [one.way, *(each.way for each in one.exposures if file is None or each.spec == file)]
    said = "".join(f"; {way}" for way in dict.fromkeys(str(way) for way in ways if way is not None))
    where = f" in {', '.join(one.layers)}" if one.layers else ""
    return f"{one.package} {one.version}{where}: {', '.join(one.identifiers)}{fixed}{said}"


def _suppression(one: Vulnerability) -> Document:
    assert one.ignored is not None
    return {"suppressions": [{"kind": "external", "justification": one.ignored.reason}]}
