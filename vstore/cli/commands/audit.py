"""`audit`: known vulnerabilities of what is live, or in the locks of a spec."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.commands.publish import find_spec_or_object
from vstore.cli.settings import Settings
from vstore.cli.text import table, when
from vstore.errors import FOUND_SOMETHING
from vstore.plural import count

if TYPE_CHECKING:
    from vstore.api.audits import Audit, AuditIgnore, Exposure, Vulnerability, WayOut
    from vstore.cli.documents.audits import (
        AuditDocument,
        AuditIgnoreDocument,
        ExposedRootDocument,
        ExposureDocument,
        VulnerabilityDocument,
        WayOutDocument,
    )


@command("audit")
@click.argument("what", metavar="[SPEC|WHAT]", required=False)
@click.option(
    "--database", metavar="PLACE", help="Advisories: a folder, a file, an archive or a URL (default: `audit.database`)."
)
@click.option("--format", "form", type=click.Choice(["table", "json", "sarif"]), default="table", help="Output format.")
def audit_command(settings: Settings, what: str | None, database: str | None, form: str) -> None:
    """Without an argument, look up all that a profile or another root keeps alive. A SPEC stands for its locks.

    The advisories are in the format of OSV. A URL is asked only if it is given here or in the settings. `audit.toml` in
    the root or beside a spec has the vulnerabilities to ignore. The exit code is 14 if others are found.
    """
    found = _audit(settings, what, database)
    for one in found.expired:
        settings.reporter.warn(f"the ignore of {one.id} has expired on {one.expires_on}: {one.file}")
    for one in found.unused:
        settings.reporter.note(f"the ignore of {one.id} is not needed: {one.file}")
    if form == "sarif":
        from vstore.api.audits import sarif_log

        settings.close()
        settings.print_json(sarif_log(found))
    else:
        settings.json = settings.json or form == "json"
        settings.emit(_document(found), lambda: _text(found))
    if found.found:
        sys.exit(FOUND_SOMETHING)


def _audit(settings: Settings, what: str | None, place: str | None) -> Audit:
    from vstore.api.audits import audit_locks, audit_store, open_database
    from vstore.api.stores import resolve_what

    spec = find_spec_or_object(settings, what) if what is not None else None
    with settings.open_store(read_only=True) as store:
        if spec is None:
            path = resolve_what(store, what).path if what is not None else None
            database = open_database(store, place, reporter=settings.reporter)
            return audit_store(store, database, path, reporter=settings.reporter)
        from vstore.api.locks import Project

        project = Project.load(spec)
        database = open_database(store, place, reporter=settings.reporter)
        return audit_locks(project, database, root=store.layout.root, reporter=settings.reporter)


def _text(audit: Audit) -> str:
    rows = [
        {
            "package": one.package,
            "version": one.version,
            "advisory": one.id,
            "severity": str(one.severity) if one.severity else None,
            "fixed": ", ".join(one.fixed_in) or None,
            "layers": ", ".join(one.layers),
        }
        for one in audit.found
    ]
    columns = {"package": "package", "version": "version", "advisory": "advisory", "severity": "severity"}
    parts = [table(rows, {**columns, "fixed": "fixed in", "layers": "layers"}), _places(audit.found)] if rows else []
    advisories = "1 advisory" if audit.advisories == 1 else f"{audit.advisories} advisories"
    said = f"{audit.summary()}, from {advisories}"
    if audit.ignored:
        said += f", {len(audit.ignored)} ignored"
    if audit.unreachable:
        said += f"\n`vstore gc` deletes {count(len(audit.unreachable), 'layer')} with a vulnerability that nothing uses"
    return "\n\n".join([*parts, said])


def _places(found: Sequence[Vulnerability]) -> str:
    """Return the table of the places that have a vulnerable package, each with a way out once."""
    rows: dict[tuple[str, str, str], dict[str, object]] = {}
    for one in found:
        for row in _places_of(one):
            row["package"] = f"{one.package} {one.version}"
            rows.setdefault((str(row["where"]), str(row["package"]), str(row["way"])), row)
    columns = {"where": "where", "package": "package", "current": "current", "since": "since", "by": "used by"}
    shown = {key: heading for key, heading in columns.items() if any(row.get(key) for row in rows.values())}
    return table(list(rows.values()), {**shown, "way": "way out"})


def _places_of(one: Vulnerability) -> Iterator[dict[str, object]]:
    for each in one.exposures:
        yield {
            "where": f"{each.profile}@{','.join(map(str, each.generations))}",
            "current": each.is_current,
            "since": f"{each.since:%Y-%m-%d}",
            "by": ", ".join(each.applications),
            "way": str(each.way),
        }
    for root in one.roots:
        since = f"{root.since:%Y-%m-%d}" if root.since else None
        yield {"where": f"root {root.name}", "since": since, "way": str(root.way) if root.way else None}
    if one.way is not None:
        yield {"where": ", ".join(one.layers), "way": str(one.way)}


def _document(audit: Audit) -> AuditDocument:
    return {
        "database": audit.database,
        "advisories": audit.advisories,
        "packages": audit.packages,
        "vulnerabilities": [_vulnerability(one) for one in audit.found],
        "ignored": [_vulnerability(one) for one in audit.ignored],
        "unreachable": [str(path) for path in audit.unreachable],
        "expired_ignores": [_ignore(one) for one in audit.expired],
        "unused_ignores": [_ignore(one) for one in audit.unused],
    }


def _vulnerability(one: Vulnerability) -> VulnerabilityDocument:
    roots: list[ExposedRootDocument] = [
        {
            "root": each.name,
            "kind": each.kind,
            "since": when(each.since) if each.since else None,
            "way_out": _way_document(each.way) if each.way else None,
        }
        for each in one.roots
    ]
    return {
        "id": one.id,
        "aliases": list(one.aliases),
        "package": one.package,
        "version": one.version,
        "summary": one.summary,
        "url": one.url,
        "severity": one.severity.word if one.severity else None,
        "score": one.severity.score if one.severity else None,
        "fixed_in": list(one.fixed_in),
        "layers": list(one.layers),
        "paths": [str(path) for path in one.paths],
        "lock_files": [str(file) for file in one.lock_files],
        "profiles": [_exposure(each) for each in one.exposures],
        "roots": roots,
        "way_out": _way_document(one.way) if one.way else None,
        "ignored": one.ignored.reason if one.ignored else None,
    }


def _exposure(one: Exposure) -> ExposureDocument:
    return {
        "profile": one.profile,
        "current": one.is_current,
        "generations": list(one.generations),
        "since": when(one.since),
        "applications": list(one.applications),
        "spec": str(one.spec) if one.spec else None,
        "way_out": _way_document(one.way),
    }


def _way_document(way: WayOut) -> WayOutDocument:
    return {"kind": str(way.kind), "command": way.command, "reason": way.reason}


def _ignore(one: AuditIgnore) -> AuditIgnoreDocument:
    expires = one.expires_on.isoformat() if one.expires_on else None
    return {"id": one.id, "file": str(one.file), "expires_on": expires}
