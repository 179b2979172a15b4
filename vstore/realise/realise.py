"""The one verb: make a spec's stack present, and switch to it.

For each layer, lowest first: present in the store, else built. Equal recipes are the same work, so a
recipe that the store knows is nothing to do, and a lower layer rebuilt with equal bytes rebuilds nothing above.
The two columns, spec → lock → build and fs → store → profile, meet here and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from vstore import profile as profiles
from vstore.build.recipe import BUILDER
from vstore.digest import Digest, canonical_json, hash_fields
from vstore.errors import LockError, UsageError
from vstore.lock import lock_files
from vstore.objects import Kind, StorePath
from vstore.realise.prepare import prepare
from vstore.realise.request import Request
from vstore.report import Report
from vstore.realise.layers import Origin, Realiser, RealisedLayer
from vstore.spec import Layer, Spec, Target, load, source_digest
from vstore.store import Store
from vstore.uv import Uv


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What came of it; `stack` and `generation` are None for a partial or a dry run."""

    profile: str
    generation: int | None
    changed: bool
    stack: StorePath | None
    layers: tuple[RealisedLayer, ...]
    dry_run: bool = False


def realise(store: Store, request: Request, *, uv: Uv, report: Report, now: datetime) -> Realised:
    """Make the spec's stack present and its profile's current generation.

    Raises SpecError, LockError, BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    spec = load(request.spec, check_requirements=False)
    name = request.profile or spec.profile
    target = Target.host()
    whole = not (request.include or request.check or request.dry_run)
    stack = store.remembered(_inputs(spec, target, request)) if whole else None
    if stack is not None:
        layers = _remembered_layers(store, stack)
    else:
        spec = load(request.spec)
        for warning in spec.warnings:
            report.warn(warning)
        wanted = _selected(spec, request.include, target)
        prepared = prepare(store, spec, request, target=target, uv=uv, report=report)
        realiser = Realiser(store, spec, prepared, target=target, request=request, uv=uv, report=report)
        layers = realiser.run(wanted)
        if not whole:
            return Realised(
                profile=name, generation=None, changed=False, stack=None, layers=layers, dry_run=request.dry_run
            )
        stack = add_stack(store, spec, target, layers)
        store.index.remember(_inputs(spec, target, request), stack)
    before = profiles.current(store, name)
    if before is not None and before.spec_path not in (None, str(spec.path)) and before.path != stack:
        report.warn(f"profile {name} came from another spec: {before.spec_path}", hint="choose another with --profile")
    made = profiles.append(store, name, stack, spec_path=str(spec.path), spec_digest=spec.digest, now=now)
    if made is None:
        assert before is not None
        return Realised(profile=name, generation=before.number, changed=False, stack=stack, layers=layers)
    return Realised(profile=name, generation=made.number, changed=True, stack=stack, layers=layers)


def _inputs(spec: Spec, target: Target, request: Request) -> bytes:
    """The digest of all that decides a stack: if it is remembered, there is nothing to think about."""
    parts = [str(BUILDER).encode(), str(target).encode(), spec.profile.encode(), spec.digest.raw]
    for variable in ("UV_EXCLUDE_NEWER", "MACOSX_DEPLOYMENT_TARGET"):
        parts.append(request.environment.get(variable, "").encode())
    for file in lock_files(spec):
        parts += (file.name.encode(), file.read_bytes() if file.is_file() else b"missing")
    for layer in spec.layers:
        for module in layer.modules:
            parts += (str(module).encode(), source_digest(spec, module).raw)
    return hash_fields("inputs 1", *parts).raw


def _selected(spec: Spec, patterns: tuple[str, ...], target: Target) -> tuple[Layer, ...]:
    """The layers to realise with all that they sit on, in file order."""
    here = [layer for layer in spec.layers if target in layer.targets]
    if not here:
        raise UsageError(f"{spec.path.name}: no layer is for {target}", hint="see `platforms` in the spec")
    if not patterns:
        return tuple(here)
    for pattern in patterns:
        if not any(fnmatchcase(layer.env_name, pattern) for layer in here):
            known = ", ".join(layer.env_name for layer in here)
            raise UsageError(f"--include {pattern}: no such layer", hint=f"layers: {known}")
    chosen = [layer for layer in here if any(fnmatchcase(layer.env_name, pattern) for pattern in patterns)]
    needed = {layer.env_name for top in chosen for layer in (top, *spec.lower(top))}
    return tuple(layer for layer in here if layer.env_name in needed)


def add_stack(store: Store, spec: Spec, target: Target, layers: tuple[RealisedLayer, ...]) -> StorePath:
    """The small object that a generation is: a link per layer, a link per application, and `stack.json`."""
    document = {
        "format": 1,
        "name": spec.profile,
        "target": str(target),
        "layers": [{"name": layer.name, "kind": str(layer.kind), "path": str(layer.path)} for layer in layers],
    }
    with store.staging(f"{spec.profile}-stack") as staging:
        (staging / "layers").mkdir()
        (staging / "bin").mkdir()
        for layer in layers:
            (staging / "layers" / layer.name).symlink_to(f"../../{layer.path}")
            if layer.kind == Kind.APPLICATION:
                (staging / "bin" / layer.name.removeprefix("app-")).symlink_to(f"../../{layer.path}/libexec/launch")
        (staging / "stack.json").write_bytes(canonical_json(document) + b"\n")
        return store.add(staging, name=f"{spec.profile}-stack", kind=Kind.STACK).path


def _remembered_layers(store: Store, stack: StorePath) -> tuple[RealisedLayer, ...]:
    document = json.loads((store.layout.object(stack) / "stack.json").read_bytes())
    return tuple(
        RealisedLayer(
            name=layer["name"],
            kind=Kind(layer["kind"]),
            path=StorePath.parse(layer["path"]),
            origin=Origin.PRESENT,
            seconds=0.0,
        )
        for layer in document["layers"]
    )
