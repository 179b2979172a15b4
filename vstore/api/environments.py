"""Environments: a writable one over the layers of a spec, for work on its code.

Example::

    from pathlib import Path
    from vstore.api import environments, realising, stores

    with stores.open_store() as store:
        made = environments.develop(store, realising.Request(spec=Path("spec.toml")))
        print(made.place, made.layer, made.changes.copied)
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vstore.api.realising import realise_project
from vstore.api.stores import ENVIRONMENT_ROOT, keep
from vstore.environments.develop import DevelopmentEnvironment, claim_environment
from vstore.environments.plan import DevelopmentPlan
from vstore.errors import UsageError, suggestion
from vstore.fs.locking.filelock import lock_file
from vstore.fs.paths import absolute
from vstore.objects import Kind, StorePath
from vstore.realise.model import Request
from vstore.realise.noop import find_noop
from vstore.reporter import NullReporter, Reporter
from vstore.spec import Layer, Spec, check_requirement_syntax, load
from vstore.store import Store
from vstore.target import Target
from vstore.values import replace

__all__ = ["DevelopedEnvironment", "DevelopmentPlan", "develop"]


class DevelopedEnvironment(NamedTuple):
    """A development environment: its folder, the layer that it shows, and what was changed.

    `modules` are the folders of the working tree that it imports modules from. In a dry run `path`, the object of the
    layer, and `changes` are None if the layer is to be built first.
    """

    place: Path
    layer: str
    path: StorePath | None
    modules: tuple[Path, ...]
    created: bool
    changes: DevelopmentPlan | None


def develop(
    store: Store,
    request: Request,
    *,
    layer: str | None = None,
    place: Path | None = None,
    reporter: Reporter | None = None,
) -> DevelopedEnvironment:
    """Make a writable environment over a layer of a spec, or bring it in step with the lock of the spec.

    The layer is by default the only application. The environment is at `place`, by default in ``.venv`` beside the
    spec. The layer is realised if it is not present; no profile is changed. What was installed in the environment
    stays. Raises UsageError if something else is at that place or if the spec has several applications, and as
    `realising.realise`.
    """
    if Target.host().is_windows:
        raise UsageError("development environments are for POSIX systems", hint="`vstore export` copies the layers")
    spec = load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    check_requirement_syntax(spec)
    chosen = _chosen_layer(spec, layer)
    place = _normalised(absolute(place or spec.path.parent / ".venv"))
    claimed = claim_environment(place, store.layout.root)
    path = _realised(store, spec, chosen, request, reporter)
    modules = tuple(dict.fromkeys((spec.path.parent / module).resolve().parent for module in chosen.modules))
    result = DevelopedEnvironment(place, chosen.env_name, path, modules, claimed.old is None, None)
    if path is None:
        return result
    environment = DevelopmentEnvironment(
        place=place,
        layer=store.layout.object(path),
        modules=modules,
        application=chosen.name if chosen.kind == Kind.APPLICATION else None,
        prompt=spec.profile,
    )
    if request.dry_run:
        return result._replace(changes=environment.plan())
    with lock_file(store.layout.locks.output(place), blocking=False):
        claim_environment(place, store.layout.root)
        with store.kept_alive(path):
            changes = environment.write()
            keep(store, path, place / ENVIRONMENT_ROOT)
    return result._replace(changes=changes)


def _normalised(place: Path) -> Path:
    """Return a path without ``..``, which links before it give a meaning: one environment has one name."""
    if place.name == "..":
        return place.resolve()
    return place.parent.resolve() / place.name if ".." in place.parts else place


def _chosen_layer(spec: Spec, name: str | None) -> Layer:
    """Return the layer of this name, with or without the prefix of its kind; by default the only application."""
    layers = [layer for layer in spec.layers if Target.host() in layer.targets]
    applications = [layer for layer in layers if layer.kind == Kind.APPLICATION]
    found = applications if name is None else [one for one in layers if name in (one.env_name, one.name)]
    found = [one for one in found if name == one.env_name] or found
    if len(found) == 1:
        return found[0]
    names = [layer.env_name for layer in layers]
    known = ", ".join(names)
    if name is None:
        message = f"{spec.path.name} has {len(found)} applications for this machine"
        raise UsageError(message, hint=f"choose a layer with --layer: {known}")
    hint = f"{suggestion(name, names)}layers: {known}"
    raise UsageError(f"{spec.path.name} has no layer {name!r} for this machine", hint=hint)


def _realised(store: Store, spec: Spec, layer: Layer, request: Request, reporter: Reporter | None) -> StorePath | None:
    """Return the object of a layer, which is realised first unless the whole stack is present."""
    from vstore.lock import Project

    whole = replace(request, generation=False)
    found = None if request.dry_run else find_noop(store, spec, whole, reporter=reporter or NullReporter())
    if found is None:
        selected = replace(whole, include=(layer.env_name,))
        found = realise_project(store, Project(spec), selected, reporter=reporter)
    return next((one.path for one in found.layers if one.name == layer.env_name), None)
