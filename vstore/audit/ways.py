"""The shortest way out of a vulnerability: roll back, upgrade, or the requirement that stands in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vstore.audit.demands import Demand, allowed_fix, demands_of_layer, demands_of_spec
from vstore.audit.live import LiveStore
from vstore.audit.matching import fixed_versions
from vstore.audit.model import Advisory, WayKind, WayOut
from vstore.errors import LockError, SpecError, StoreError
from vstore.fs.paths import quoted
from vstore.lock import Project
from vstore.objects import StorePath
from vstore.store import Generation, Root, RootKind

Key = tuple[str, str]  # package, identifier of an advisory
Problems = Mapping[StorePath, Collection[Key]]  # the vulnerabilities of each stack


class WayFinder:
    """Finds the ways out. Each spec and the requirements in each stack are read once.

    Without a `live` store, as for the locks of a spec, the requirements of other packages are not known.
    """

    def __init__(self, live: LiveStore | None = None) -> None:
        self._live = live
        self._projects: dict[str, Project | None] = {}

    def of_profile(
        self, history: Sequence[Generation], affected: Collection[Generation], group: Sequence[Advisory],
        version: str, problems: Problems,
    ) -> WayOut:  # fmt: skip
        """Return the way out for a profile, of whose generations some are affected."""
        profile = history[0].profile
        current = next((one for one in history if one.current), None)
        if current is None or current not in affected:
            numbers = " ".join(str(one.number) for one in affected)
            return WayOut(WayKind.FORGET, f"vstore forget {profile} {numbers}")
        package = group[0].package
        keys = {(package, one.id) for one in group}
        most = len(problems[current.path])
        better = [one for one in history if keys.isdisjoint(problems[one.path]) and len(problems[one.path]) < most]
        if better:
            best = min(better, key=lambda one: (len(problems[one.path]), -one.number))
            return WayOut(WayKind.ROLLBACK, f"vstore rollback {profile} --to {best.number}")
        project = self._project(current.spec_path) if current.spec_path else None
        if project is None:
            where = f": {current.spec_path}" if current.spec_path else ""
            return WayOut(WayKind.NO_SPEC, reason=f"the spec of profile {profile} is not known on this machine{where}")
        return self.of_spec(project, group, version, current.path)

    def of_spec(
        self, project: Project, group: Sequence[Advisory], version: str, stack: StorePath | None = None
    ) -> WayOut:
        """Return the way out for a spec: the upgrade of a package, or the reason why there is none."""
        package, spec = group[0].package, project.spec
        fixed = fixed_versions(group, version)
        if not fixed:
            return WayOut(WayKind.NOT_FIXED, reason=f"no fixed version of {package} is known")
        for locked in project.locks:
            for held in locked.findings.held_back:
                if held.name == package and held.version == version:
                    return WayOut(WayKind.BLOCKED, reason=f"held back: {held}")
        demands, overridden = demands_of_spec(spec, package)
        if stack is not None and not overridden:
            demands += self._demands_in(stack, package)
        reached, reasons = allowed_fix(group, fixed, demands)
        if reached is None:
            return WayOut(WayKind.BLOCKED, reason="; ".join(reasons))
        return WayOut(WayKind.UPGRADE, f"vstore lock --upgrade-package {package} {quoted(spec.path)}")

    def _demands_in(self, stack: StorePath, package: str) -> Iterable[Demand]:
        if self._live is None:
            return
        for layer in self._live.layers(self._live.closure(stack)):
            with suppress(StoreError):  # a damaged layer is for `verify` to tell
                yield from demands_of_layer(self._live.store.layout.object(layer), package)

    def _project(self, spec: str) -> Project | None:
        """Return the project of a spec; None if it cannot be read."""
        if spec not in self._projects:
            self._projects[spec] = None
            with suppress(SpecError, LockError, OSError):
                project = Project.load(Path(spec))
                if project.locks:
                    self._projects[spec] = project
        return self._projects[spec]


def way_of_root(root: Root) -> WayOut | None:
    """Return the way out for a root that is not a generation; None for one that ends with its process."""
    if root.kind != RootKind.USER:
        return None
    name = root.name.removeprefix("gcroots/")
    return WayOut(WayKind.REMOVE_ROOT, f"vstore roots remove {quoted(Path(name)) if '/' in name else name}")
