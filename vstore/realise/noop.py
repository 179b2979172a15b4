"""The no-op: the stack of equal inputs is known, and is found without reading locks or loading the code that builds.

The inputs of a stack (spec, locks, modules, target) are hashed together, and the index keeps the stack of each digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from vstore import profile as profiles
from vstore.build import BUILDER
from vstore.digest import hash_fields
from vstore.objects import StorePath
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.reporter import Reporter
from vstore.spec import Spec, source_manifest
from vstore.spec.lockfiles import lock_files, read_lock_file
from vstore.store import Generation, Store
from vstore.target import Target
from vstore.values import replace


def find_noop(store: Store, spec: Spec, request: Request, *, reporter: Reporter) -> Realised | None:
    """Activate the stack if the inputs of a request for a whole stack were realised before, and it is still present.

    Raises SpecError or LockError for files that cannot be read.
    """
    stack = store.cached_stack(inputs_key(spec, request.platform, request))
    if stack is None:
        reporter.detail(f"{spec.path.name}: no stack in the store was made from these inputs (spec, locks, modules)")
        return None
    reporter.detail(f"{spec.path.name}: its inputs (spec, locks, modules) are those of {stack}, which is present")
    layers = tuple(
        RealisedLayer(name=layer.name, kind=layer.kind, path=layer.path, origin=Origin.PRESENT, seconds=0.0)
        for layer in profiles.read_stack(store.layout.object(stack)).layers
    )
    realised = Realised(profile=profile_name(spec, request), target=request.platform, layers=layers, stack=stack)
    if not request.generation:
        return realised
    warn_of_other_spec(store, spec, request, reporter=reporter, stack=stack)
    return activate(store, spec, realised, reporter=reporter)


def activate(store: Store, spec: Spec, realised: Realised, *, reporter: Reporter) -> Realised:
    """Make a stack the current generation of its profile, unless it is already. Return the result with its number."""
    name, stack = realised.profile, realised.stack
    assert stack is not None
    known = store.generations.of(name)
    added = profiles.append(
        store, name, stack, spec_path=str(spec.path), spec_digest=spec.digest, now=datetime.now(UTC)
    )
    if added is not None:
        _note_switch(known, added, reporter)
    generation = added or profiles.current(store, name)
    return replace(realised, generation=generation.number if generation else None, changed=added is not None)


def _note_switch(known: Sequence[Generation], added: Generation, reporter: Reporter) -> None:
    """Note what a new generation replaced, if that was the stack of another spec, or a rollback."""
    before = next((one for one in known if one.current), None)
    if before is None:
        return
    name = added.profile
    if before.spec_path not in (None, added.spec_path):
        reporter.note(f"`vstore rollback {name}` returns profile {name} to the stack of {before.spec_path}")
    rolled_back = [one.number for one in known if one.number > before.number and one.path == added.path]
    if rolled_back:
        reporter.note(
            f"the stack of generation {rolled_back[-1]} is in use again: this undoes the rollback to generation"
            f" {before.number}"
        )


def warn_of_other_spec(
    store: Store, spec: Spec, request: Request, *, reporter: Reporter, stack: StorePath | None = None
) -> None:
    """Warn if the profile of a request belongs to another spec, unless `stack` is its current one."""
    name = profile_name(spec, request)
    current = profiles.current(store, name)
    if current is not None and current.spec_path not in (None, str(spec.path)) and current.path != stack:
        reporter.warn(
            f"profile {name} belongs to another spec: {current.spec_path}",
            hint="choose another with `--profile NAME`",
        )


def profile_name(spec: Spec, request: Request) -> str:
    """Return the profile of a request; by default that of the spec, with the platform if it is another machine's."""
    own = request.platform == Target.host()
    return request.profile or (spec.profile if own else f"{spec.profile}-{request.platform}")


def inputs_key(spec: Spec, target: Target, request: Request) -> bytes:
    """Return the digest of all inputs of a stack. Raises SpecError or LockError for files that cannot be read."""
    parts = [str(BUILDER).encode(), str(target).encode(), spec.profile.encode(), spec.digest.raw]
    parts += [request.environment.get(name, "").encode() for name in ("UV_EXCLUDE_NEWER", "MACOSX_DEPLOYMENT_TARGET")]
    for file in lock_files(spec):
        parts += (file.name.encode(), read_lock_file(file) or b"missing")
    for layer in spec.layers:
        for module in layer.modules:
            parts += (str(module).encode(), source_manifest(spec, module).digest.raw)
    return hash_fields("inputs 1", *parts).raw
