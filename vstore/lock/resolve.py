"""Locking: each layer resolved by uv under the pins of the layers below, for all its targets at once."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from vstore.errors import LockError
from vstore.lock.lockfile import FROM_LOWER, lock_path, matches, parse_package, read_lock, write_lock
from vstore.lock.markers import environment_marker, holds, supported_tags
from vstore.lock.model import LockedLayer, LockedPackage, PythonForLocking
from vstore.lock.select import best_wheel
from vstore.lock.staleness import inputs, reason
from vstore.objects import Kind
from vstore.report import Report
from vstore.spec import Layer, Spec
from vstore.uv import Uv, UvFailed


def lock(
    spec: Spec,
    *,
    uv: Uv,
    pythons: Mapping[str, PythonForLocking],
    report: Report,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
    reset: Sequence[str] = (),
    if_needed: bool = True,
    local_wheels: Sequence[Path] = (),
    index: bool = True,
) -> tuple[LockedLayer, ...]:
    """Lock every layer, lowest first; valid locks stay untouched when `if_needed`. `pythons` is by runtime name.

    Old pins are kept where they still fit, unless upgraded or reset. Raises LockError; locks of the layers below the
    failing one are complete by then.
    """
    done: dict[str, LockedLayer] = {}
    for layer in spec.layers:
        if not layer.targets:
            continue
        name = layer.env_name
        old = None if matches(layer, reset) else read_lock(spec, layer)
        digests = {low: one.packages_digest for low, one in done.items()}
        why = reason(spec, layer, old, digests)
        if why is None and if_needed and old is not None:
            done[name] = old
            continue
        report.stage(name, "resolving")
        python = pythons[layer.runtime or layer.name]
        lowers = [done[low.env_name] for low in spec.lower(layer)]
        keep = {} if upgrade or old is None else _keepable(old, upgrade_packages)
        resolver = _Resolver(spec, layer, lowers, python, uv, local_wheels, index)
        document = resolver.resolve(keep)
        pin = python.pin if layer.kind == Kind.RUNTIME else None
        lower_digests = {one.env_name: one.packages_digest for one in lowers}
        write_lock(spec, layer, document, inputs(spec, layer, lower_digests), pin, datetime.now(UTC))
        locked = read_lock(spec, layer)
        assert locked is not None
        done[name] = locked
    return tuple(done.values())


def _keepable(old: LockedLayer, upgrade_packages: Sequence[str]) -> dict[str, str]:
    """The versions that uv shall prefer, by name; a name locked at several versions is left to uv."""
    from packaging.utils import canonicalize_name

    upgraded = {canonicalize_name(name) for name in upgrade_packages}
    versions: dict[str, set[str]] = {}
    for package in old.packages:
        if not package.shared and canonicalize_name(package.name) not in upgraded:
            versions.setdefault(package.name, set()).add(package.version)
    return {name: found.pop() for name, found in versions.items() if len(found) == 1}


def _pin(package: LockedPackage) -> str:
    return f"{package.name}=={package.version}" + (f" ; {package.marker}" if package.marker else "")


def _lower_pins(lowers: Sequence[LockedLayer]) -> Iterator[tuple[str, str]]:
    """(constraint, env name) of what the layers below install themselves, the runtime first (compat.md 5.2)."""
    hidden: set[str] = set()
    for locked in (*lowers[-1:], *lowers[:-1]):
        unconditional = set()
        for package in locked.packages:
            if package.shared or package.name in hidden:
                continue
            yield _pin(package), locked.env_name
            if package.marker is None:
                unconditional.add(package.name)
        hidden |= unconditional


def _names(text: str, package: str) -> bool:
    """Whether a text speaks of a package, and not just of a word or a longer name that holds its letters."""
    return re.search(rf"(?<![\w.-]){re.escape(package)}(?![\w-])", text) is not None


class MissingWheels(LockError):
    """A package has no wheel for one of the layer's platforms."""


class _Resolver:
    """Resolves one layer in a throw-away uv project."""

    def __init__(
        self,
        spec: Spec,
        layer: Layer,
        lowers: Sequence[LockedLayer],
        python: PythonForLocking,
        uv: Uv,
        local_wheels: Sequence[Path],
        index: bool,
    ) -> None:
        self.spec = spec
        self.layer = layer
        self.lowers = lowers
        self.python = python
        self.uv = uv
        self.settings: dict[str, Any] = dict(spec.uv)
        self.local_wheels = local_wheels
        self.index = index

    def resolve(self, keep: Mapping[str, str]) -> dict[str, Any]:
        """The edited lock document. The versions in `keep` are preferred wherever the resolution allows them."""
        try:
            return self._edited(self._run(keep))
        except MissingWheels:
            if not keep:
                raise
            return self._edited(self._run({}))

    def _run(self, keep: Mapping[str, str]) -> dict[str, Any]:
        import tomli_w

        with tempfile.TemporaryDirectory(prefix="vstore-lock-") as folder:
            project = Path(folder)
            (project / "pyproject.toml").write_text(tomli_w.dumps(self._project()), encoding="utf-8")
            if keep:
                (project / "uv.lock").write_text(tomli_w.dumps(self._preferences(keep)), encoding="utf-8")
            common: list[str | Path] = ["--project", project, "--python", self.python.path, "--no-python-downloads"]
            doing = f"resolving layer {self.layer.env_name}"
            try:
                self.uv.run(["lock", *common], cwd=project, doing=doing)
                text = self.uv.run(
                    ["export", *common, "--format", "pylock.toml", "--locked", "--no-emit-project", "--no-header"],
                    cwd=project,
                    doing=doing,
                )
            except UvFailed as error:
                raise self._explained(error) from error
        return tomllib.loads(text)

    def _preferences(self, keep: Mapping[str, str]) -> dict[str, Any]:
        """An earlier ``uv.lock``, as far as uv asks it for preferred versions; it never looks at the registry named."""
        packages = [
            {"name": name, "version": version, "source": {"registry": "https://preferred.invalid/simple"}}
            for name, version in sorted(keep.items())
        ]
        return {"version": 1, "requires-python": f"=={self.python.pin.minor}.*", "package": packages}

    def _project(self) -> dict[str, Any]:
        table = {key: value for key, value in self.settings.items() if key not in ("sources", "index")}
        indexes, sources = self._indexes()
        wheels = [str(folder.resolve()) for folder in self.local_wheels]
        table |= {
            "no-build": True,
            "package": False,
            "constraint-dependencies": [
                *table.get("constraint-dependencies", []),
                *(pin for pin, _ in _lower_pins(self.lowers)),
            ],
            "environments": [environment_marker(target) for target in self.layer.targets],
        }
        if wheels or table.get("find-links"):
            table["find-links"] = [*(self._find_links(one) for one in table.get("find-links", [])), *wheels]
        if not self.index:
            table["no-index"] = True
        if indexes:
            table["index"] = indexes
        if sources:
            table["sources"] = sources
        name = "".join(character if character.isalnum() else "-" for character in self.layer.env_name).strip("-")
        return {
            "project": {
                "name": f"vstore-layer-{name}",
                "version": "0",
                "requires-python": f"=={self.python.pin.minor}.*",
                "dependencies": list(self.layer.requirements),
            },
            "tool": {"uv": table},
        }

    def _find_links(self, place: str) -> str:
        """A folder is meant relative to the spec, not to the throw-away project."""
        return place if "://" in place else str((self.spec.path.parent / place).resolve())

    def _indexes(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """uv's indexes with the layer's priorities, and sources with the layer's and lower layers' package indexes."""
        declared = [dict(index) for index in self.settings.get("index", [])]
        first = [index for name in self.layer.priority_indexes for index in declared if index.get("name") == name]
        for index in first:
            index.pop("explicit", None)
        rest = [index for index in declared if index not in first]
        sources = dict(self.settings.get("sources", {}))
        for layer in (*reversed(self.spec.lower(self.layer)), self.layer):
            sources |= {package: {"index": name} for package, name in layer.package_indexes.items()}
        return first + rest, sources

    def _explained(self, error: UvFailed) -> LockError:
        """uv's failure as ours: which layer, and which pins of lower layers took part in it."""
        name = self.layer.env_name
        pins = [
            f"{pin.partition(' ;')[0]} is pinned by layer {owner}"
            for pin, owner in _lower_pins(self.lowers)
            if _names(error.output, pin.partition("==")[0])
        ]
        if error.unreachable or "offline" in (error.hint or "") or "no space left" in error.message:
            return LockError(f"layer {name} cannot be locked: {error.message}", details=error.details, hint=error.hint)
        hint = "change the requirements of this layer"
        if pins:
            hint = f"change the requirements of this layer, or those of {pins[0].rpartition(' ')[2]} below it"
        if "-compatible wheels" in error.output:
            hint = "narrow `platforms`, or make wheels with `uv build --wheel` and offer them by --local-wheels"
        if "no usable wheels" in error.output or "building from source is disabled" in error.output:
            hint = "only wheels are used: make one with `uv build --wheel` and offer its folder by --local-wheels"
        return LockError(f"layer {name} cannot be locked", details=[*error.details, *pins], hint=hint)

    # editing what uv exported (compat.md 5.3)

    def _edited(self, document: dict[str, Any]) -> dict[str, Any]:
        packages = []
        missing: list[str] = []
        for table in document.get("packages", []):
            edited = self._edited_package(dict(table), missing)
            if edited is not None:
                packages.append(edited)
        if missing:
            raise MissingWheels(
                f"layer {self.layer.env_name}: no wheel for some platforms",
                details=missing,
                hint="narrow `platforms`, or make wheels with `uv build --wheel` and offer them by --local-wheels",
            )
        return {
            "lock-version": document["lock-version"],
            "requires-python": document.get("requires-python", f"=={self.python.pin.minor}.*"),
            "packages": packages,
        }

    def _edited_package(self, table: dict[str, Any], missing: list[str]) -> dict[str, Any] | None:
        version = self.python.pin.version
        marker = table.get("marker")
        targets = [target for target in self.layer.targets if holds(marker, target, version)]
        if not targets:
            return None
        if len(targets) == len(self.layer.targets):
            table.pop("marker", None)
            marker = None
        for key in ("sdist", "archive", "directory", "vcs"):
            table.pop(key, None)
        name = table["name"]
        if all(self._provided(name, target) == str(table.get("version")) for target in targets):
            table["marker"] = f"({marker}) and {FROM_LOWER}" if marker else FROM_LOWER
            table.pop("index", None)
            table.pop("wheels", None)
            return table
        wheels = [self._relocated(wheel) for wheel in table.get("wheels", [])]
        table["wheels"] = wheels
        missing += self._without_wheel(table, targets)
        return table

    def _provided(self, name: str, target: Any) -> str | None:
        """The version of a package that the nearest layer below installs on a target."""
        for locked in self.lowers:
            for package in locked.packages:
                if (
                    package.name == name
                    and not package.shared
                    and holds(package.marker, target, self.python.pin.version)
                ):
                    return package.version
        return None

    def _relocated(self, wheel: dict[str, Any]) -> dict[str, Any]:
        """Local wheels by a path relative to the lock file, with forward slashes; upload times left out."""
        wheel = {key: value for key, value in wheel.items() if key != "upload-time"}
        parsed = urlparse(wheel.get("url", ""))
        local = wheel.pop("path", None) or (unquote(parsed.path) if parsed.scheme == "file" else None)
        if local is not None:
            wheel.pop("url", None)
            folder = lock_path(self.spec, self.layer).parent
            wheel["path"] = Path(os.path.relpath(local, folder)).as_posix()
        return wheel

    def _without_wheel(self, table: Mapping[str, Any], targets: Iterable[Any]) -> Iterator[str]:
        package = parse_package(table)
        for target in targets:
            tags = supported_tags(self.layer, target, self.python.pin.version)
            if best_wheel(package, {tag: number for number, tag in enumerate(tags)}) is None:
                yield f"{package.name} {package.version} has none for {target}"
