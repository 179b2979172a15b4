"""Looking up packages in a database of advisories: those of a store, and those in the locks of a spec."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from packaging.utils import canonicalize_name

from vstore.audit.database import AdvisoryDatabase
from vstore.audit.ignores import Ignores
from vstore.audit.live import LiveStore, PackageVersion
from vstore.audit.matching import fixed_versions, grouped, is_affected
from vstore.audit.model import (
    Advisory,
    Audit,
    ExposedRoot,
    Exposure,
    Vulnerability,
    worst_first,
)
from vstore.audit.severity import severity_of
from vstore.audit.ways import Key, WayFinder, way_of_root
from vstore.build.layer_metadata import read_packages
from vstore.errors import LockError
from vstore.fs.paths import quoted, typed
from vstore.lock import LockedLayer, Project
from vstore.objects import Kind, StorePath
from vstore.profile import read_stack
from vstore.reporter import NullReporter, Reporter
from vstore.store import Generation, Store
from vstore.values import replace

_PREFERRED = ("MAL", "PYSEC", "GHSA", "CVE")  # the identifiers that name a vulnerability, first those about packages
Group = tuple[PackageVersion, Sequence[Advisory]]


def audit_store(
    store: Store,
    database: AdvisoryDatabase,
    *,
    what: StorePath | None = None,
    today: date,
    reporter: Reporter | None = None,
) -> Audit:
    """Look up the packages of all live objects, or of `what` and all that it refers to.

    Raises UsageError if a file of ignores is malformed.
    """
    reporter = reporter or NullReporter()
    live = LiveStore(store, reporter)
    layers = live.layers(live.closure(what) if what is not None else None)
    packages = live.packages(layers)
    groups = [group for one in packages for group in groups_of(database, one)]
    finder = _StoreAudit(live, packages, groups)
    found = [one for group in groups if (one := finder.vulnerability(group, within=what)) is not None]
    reached = live.live if what is None else live.closure(what)
    dead = {path for package, _ in groups for path in packages[package]} - reached
    ignores = Ignores(store.layout.root, today=today, reporter=reporter)
    return ignores.applied(
        Audit(
            database=database.place,
            advisories=database.size,
            packages=sum(not reached.isdisjoint(paths) for paths in packages.values()),
            found=worst_first(found),
            unreachable=tuple(sorted(dead)),
        )
    )


def audit_locks(
    project: Project,
    database: AdvisoryDatabase,
    *,
    root: Path | None = None,
    today: date,
    reporter: Reporter | None = None,
) -> Audit:
    """Look up the packages in the locks of a spec; `root` is that of a store with further ignores.

    Raises LockError if there is no lock or one is malformed, and UsageError if a file of ignores is.
    """
    packages: dict[PackageVersion, list[LockedLayer]] = {}
    if not project.locks:
        raise LockError(
            f"no layer is locked: {typed(project.spec.path)}", hint=f"run `vstore lock {quoted(project.spec.path)}`"
        )
    for locked in project.locks:
        for one in locked.packages:
            if not one.shared:
                packages.setdefault(PackageVersion(canonicalize_name(one.name), one.version), []).append(locked)
    finder, found = WayFinder(), []
    for package, locks in packages.items():
        for _, group in groups_of(database, package):
            names = tuple(dict.fromkeys(one.env_name for one in locks))
            files = tuple(dict.fromkeys(one.path for one in locks))
            way = finder.of_spec(project, group, package.version)
            found.append(replace(describe(package, group), layers=names, lock_files=files, way=way))
    ignores = Ignores(root, today=today, reporter=reporter or NullReporter(), spec=project.spec.path)
    audit = Audit(database=database.place, advisories=database.size, packages=len(packages), found=worst_first(found))
    return ignores.applied(audit)


def vulnerabilities_of(store: Store, database: AdvisoryDatabase, stack: StorePath) -> tuple[Vulnerability, ...]:
    """Return the vulnerabilities of a stack, without their places. Raises StoreError for a damaged stack or layer."""
    layers = [one.path for one in read_stack(store.layout.object(stack)).layers if one.kind != Kind.INTERPRETER]
    packages = {PackageVersion(*one) for path in layers for one in read_packages(store.layout.object(path))}
    return worst_first(describe(one, group) for package in packages for one, group in groups_of(database, package))


def groups_of(database: AdvisoryDatabase, package: PackageVersion) -> list[Group]:
    """Return the advisories that are about a version of a package, in groups of one vulnerability each."""
    affecting = [one for one in database.advisories(package.name) if is_affected(one, package.version)]
    return [(package, _sorted(group)) for group in grouped(affecting)]


def describe(package: PackageVersion, group: Sequence[Advisory]) -> Vulnerability:
    """Return a vulnerability, without the places where it is."""
    first = group[0]
    names = sorted({name for one in group for name in (one.id, *one.aliases)} - {first.id})
    return Vulnerability(
        id=first.id,
        aliases=tuple(names),
        package=package.name,
        version=package.version,
        summary=next((one.summary for one in group if one.summary), ""),
        url=next((one.url for one in group if one.url), None),
        severity=severity_of(group),
        is_malicious=any(one.is_malicious for one in group),
        fixed_in=fixed_versions(group, package.version),
        layers=(),
    )


def _sorted(group: Iterable[Advisory]) -> Sequence[Advisory]:
    def key(one: Advisory) -> tuple[int, str]:
        start = one.id.partition("-")[0]
        return (_PREFERRED.index(start) if start in _PREFERRED else len(_PREFERRED), one.id)

    return sorted(group, key=key)


class _StoreAudit:
    """Finds where vulnerabilities are in a store."""

    def __init__(
        self, live: LiveStore, packages: Mapping[PackageVersion, Sequence[StorePath]], groups: Sequence[Group]
    ) -> None:
        self._live = live
        self._packages = packages
        self._ways = WayFinder(live)
        by_layer: dict[StorePath, set[Key]] = {}
        for package, group in groups:
            for path in packages[package]:
                by_layer.setdefault(path, set()).update((package.name, one.id) for one in group)
        self._problems: dict[StorePath, Collection[Key]] = {}
        self._users: dict[StorePath, list[Generation]] = {}
        for one in (one for history in live.generations.values() for one in history):
            bad = by_layer.keys() & live.closure(one.path)
            self._problems[one.path] = {key for path in bad for key in by_layer[path]}
            for path in bad:
                self._users.setdefault(path, []).append(one)

    def vulnerability(self, group: Group, *, within: StorePath | None) -> Vulnerability | None:
        """Return a vulnerability with the places where it is; None if no root, and nothing in `within`, has it."""
        package, advisories = group
        layers = frozenset(self._packages[package])
        exposures = tuple(self._exposures(package, advisories, layers))
        roots = tuple(
            ExposedRoot(name=one.name, kind=str(one.kind), since=one.since, way=way_of_root(one))
            for one in self._live.roots
            if not layers.isdisjoint(self._live.closure(one.path))
        )
        if within is None and not (exposures or roots):
            return None
        reached = self._live.live if within is None else layers
        paths = tuple(sorted(path for path in layers if path in reached))
        return replace(
            describe(package, advisories),
            layers=tuple(dict.fromkeys(path.name for path in paths)),
            paths=paths,
            exposures=exposures,
            roots=roots,
        )

    def _exposures(
        self, package: PackageVersion, group: Sequence[Advisory], layers: frozenset[StorePath]
    ) -> Iterable[Exposure]:
        users: dict[str, dict[int, Generation]] = {}
        for one in (one for path in layers for one in self._users.get(path, ())):
            users.setdefault(one.profile, {})[one.number] = one
        for profile, numbers in sorted(users.items()):
            history, affected = self._live.generations[profile], [numbers[number] for number in sorted(numbers)]
            current = next((one for one in history if one.current), None)
            shown = current if current is not None and current in affected else affected[-1]
            yield Exposure(
                profile=profile,
                generations=tuple(one.number for one in affected),
                since=affected[0].created_at,
                is_current=shown.current,
                applications=self._live.applications(shown.path, layers),
                spec=_spec_of(current or shown),
                way=self._ways.of_profile(history, affected, group, package.version, self._problems),
            )


def _spec_of(generation: Generation) -> Path | None:
    return Path(generation.spec_path) if generation.spec_path else None
