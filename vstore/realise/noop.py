"""The answer when nothing has to be done, found without reading a lock or loading what builds.

All inputs of a stack, the spec, the locks, the modules, the target, are hashed together; the index remembers which
stack they gave. This is what a no-op `realise` is, so it imports little.
"""

from __future__ import annotations

from datetime import datetime

from vstore import profile as profiles
from vstore.build import BUILDER
from vstore.digest import hash_fields
from vstore.objects import StorePath
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.reporter import Reporter
from vstore.spec import Spec, load, source_manifest
from vstore.spec.lockfiles import lock_files, read_lock_file
from vstore.store import Store
from vstore.target import Target


def cached_stack(store: Store, request: Request, *, reporter: Reporter, now: datetime) -> Realised | None:
    """What `realise` would answer, if these inputs have been realised before and their stack is still there."""
    if request.include or request.check or request.dry_run:
        return None
    spec = load(request.spec, check_requirements=False, environment=request.environment)
    stack = store.cached_stack(inputs_key(spec, request.platform, request))
    if stack is None:
        return None
    return settle(store, spec, request, stack, _layers(store, stack), reporter=reporter, now=now)


def settle(
    store: Store,
    spec: Spec,
    request: Request,
    stack: StorePath,
    layers: tuple[RealisedLayer, ...],
    *,
    reporter: Reporter,
    now: datetime,
) -> Realised:
    """Make the stack the profile's current generation, unless it is already or none is asked for."""
    name = profile_name(spec, request)
    if not request.generation:
        return Realised(
            profile=name, target=request.platform, generation=None, changed=False, stack=stack, layers=layers
        )
    before = profiles.current(store, name)
    if before is not None and before.spec_path not in (None, str(spec.path)) and before.path != stack:
        reporter.warn(
            f"profile {name} came from another spec: {before.spec_path}", hint="choose another with --profile"
        )
    made = profiles.append(store, name, stack, spec_path=str(spec.path), spec_digest=spec.digest, now=now)
    now_current = made or profiles.current(store, name)
    number = now_current.number if now_current else None
    return Realised(
        profile=name,
        target=request.platform,
        generation=number,
        changed=made is not None,
        stack=stack,
        layers=layers,
    )


def profile_name(spec: Spec, request: Request) -> str:
    """The profile to switch: for another machine's stack one of its own, unless the user says otherwise."""
    own = request.platform == Target.host()
    return request.profile or (spec.profile if own else f"{spec.profile}-{request.platform}")


def inputs_key(spec: Spec, target: Target, request: Request) -> bytes:
    """The digest of all that decides a stack: if it is remembered, there is nothing to think about."""
    parts = [str(BUILDER).encode(), str(target).encode(), spec.profile.encode(), spec.digest.raw]
    parts += [request.environment.get(name, "").encode() for name in ("UV_EXCLUDE_NEWER", "MACOSX_DEPLOYMENT_TARGET")]
    for file in lock_files(spec):
        parts += (file.name.encode(), read_lock_file(file) or b"missing")
    for layer in spec.layers:
        for module in layer.modules:
            parts += (str(module).encode(), source_manifest(spec, module).digest.raw)
    return hash_fields("inputs 1", *parts).raw


def _layers(store: Store, stack: StorePath) -> tuple[RealisedLayer, ...]:
    return tuple(
        RealisedLayer(name=layer.name, kind=layer.kind, path=layer.path, origin=Origin.PRESENT, seconds=0.0)
        for layer in profiles.read_stack(store.layout.object(stack)).layers
    )
