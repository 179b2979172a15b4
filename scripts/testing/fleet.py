"""A builder that pushes and machines that have nothing but the cache: each a root of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.testing.world import World, make_world


@dataclass
class Fleet:
    """`builder` has wheels; what `machine` makes has a copy of the project, and no wheels and no index."""

    folder: Path
    builder: World
    key: str

    def machine(
        self, place: Path, *, trusted: tuple[str, ...] | None = None, require: int = 1, caches: str = ""
    ) -> World:
        world = World(place, place / "root")
        world.root.mkdir(parents=True)
        world.wheels.mkdir()
        keys = (self.key,) if trusted is None else trusted
        config = f"trusted_keys = {list(keys)!r}\nrequire = {require}\n{caches}"
        (world.root / "config.toml").write_text(config.replace("'", '"'))
        shutil.copytree(self.builder.spec.parent, world.spec.parent)
        return world


def make_fleet(folder: Path, builder: World | None = None) -> Fleet:
    """A builder that has realised its spec, that of `testing.world` if none is given, and has a key."""
    builder = builder or make_world(folder / "builder")
    builder.realise()
    key = builder.json("key", "generate", "builder-1")["public"]
    return Fleet(folder, builder, key)


def realise(world: World, *arguments: str, code: int = 0, **changes: str) -> Any:
    """Realise without wheels: only a cache can help."""
    return world.json("realise", str(world.spec), "--locked", "--no-index", *arguments, code=code, **changes)


def origins(result: Any) -> set[str]:
    return {layer["origin"] for layer in result["layers"]}


def run(world: World, profile: str = "project") -> str:
    return world.run("run", profile, "hello")[0]
