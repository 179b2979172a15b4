"""A spec with its locks, each of which is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self

from vstore.lock.lockfile import read_lock, write_interpreter, write_lock
from vstore.lock.model import InterpreterPin, LockedLayer
from vstore.lock.sidecar_files import write_sidecars
from vstore.spec import Layer, Spec, load


class Project:
    """A spec and its locks. A lock file is read at its first use; a written one is not read again."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._locks: dict[str, LockedLayer | None] = {}

    @classmethod
    def load(
        cls,
        spec: Path,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        allow_outside: Sequence[Path] = (),
    ) -> Self:
        """Load a spec; the options are those of `specs.load`. Raises SpecError."""
        return cls(load(spec, environment=environment, allow_outside=allow_outside))

    @property
    def locks(self) -> tuple[LockedLayer, ...]:
        """The existing locks, in the order of the spec. Raises LockError for one that is malformed."""
        return tuple(found for layer in self.spec.layers if (found := self.lock(layer)) is not None)

    def lock(self, layer: Layer) -> LockedLayer | None:
        """Return the lock of a layer. Return None if it has none. Raises LockError if it is malformed."""
        if layer.env_name not in self._locks:
            self._locks[layer.env_name] = read_lock(self.spec, layer) if layer.targets else None
        return self._locks[layer.env_name]

    def write_lock(self, layer: Layer, locked: LockedLayer) -> None:
        """Write the lock of a layer."""
        write_lock(self.spec, layer, locked)
        self._locks[layer.env_name] = locked

    def write_sidecars(self, layer: Layer, *, environment: Mapping[str, str], now: datetime) -> LockedLayer:
        """Update the files beside the lock of a layer. Return the lock with its new record."""
        locked = self.lock(layer)
        assert locked is not None
        updated = write_sidecars(self.spec, layer, locked, environment=environment, now=now)
        self._locks[layer.env_name] = updated
        return updated

    def write_interpreter(self, layer: Layer, pin: InterpreterPin) -> None:
        """Write the pin of a runtime's interpreter beside a lock that venvstacks wrote."""
        write_interpreter(self.spec, layer, pin)
        del self._locks[layer.env_name]
