"""The recipe: everything that decides a layer's bytes, and nothing else.

A recipe names the wheels by sha256 (not by where they come from), the objects below and the source objects of its
modules by store path, the target, and the version of this builder. Its digest is
of the canonical JSON text in the domain ``recipe 1``. What Nix calls a derivation.
"""

from __future__ import annotations

from dataclasses import dataclass

from vstore.build import BUILDER
from vstore.digest import Digest, hash_fields, hash_json
from vstore.lock import InterpreterPin, PinnedWheel
from vstore.objects import Kind, StorePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A layer, whole: building it needs a store that has these objects, and uv.

    `lowers` are the layers below, nearest first; `sources` the launch and support modules; `python` is the full version
    of `interpreter`.
    """

    name: str
    kind: Kind
    target: str
    python: str
    interpreter: StorePath
    wheels: tuple[PinnedWheel, ...] = ()
    lowers: tuple[StorePath, ...] = ()
    sources: tuple[StorePath, ...] = ()
    launch_module: str | None = None
    dynlib_exclude: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "builder": BUILDER,
            "name": self.name,
            "kind": str(self.kind),
            "target": self.target,
            "python": self.python,
            "interpreter": str(self.interpreter),
            "wheels": sorted([wheel.name, wheel.version, wheel.sha256] for wheel in self.wheels),
            "lowers": [str(path) for path in self.lowers],
            "sources": sorted(str(path) for path in self.sources),
            "launch_module": self.launch_module,
            **({"dynlib_exclude": list(self.dynlib_exclude)} if self.dynlib_exclude else {}),
        }

    @property
    def digest(self) -> Digest:
        return hash_json("recipe 1", self.as_json())

    def part(self, wheel: PinnedWheel) -> bytes:
        """The key of "this wheel, compiled by this interpreter": objects that hold it can lend its bytecode."""
        return hash_fields("part 1", wheel.sha256.encode(), str(self.interpreter).encode()).raw


def interpreter_recipe(pin: InterpreterPin, target: str) -> Digest:
    """The recipe of an interpreter: what the lock pins, so that any store can say whether it has it."""
    download = pin.downloads.get(target)
    return hash_json(
        "interpreter 1",
        {
            "builder": BUILDER,
            "implementation": pin.implementation,
            "version": pin.version,
            "source": "managed" if pin.is_managed(target) else pin.source,
            "sha256": download.sha256 if download else None,
            "target": target,
        },
    )
