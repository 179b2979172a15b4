"""Statements of builds: on which machine, with which tools, from which lock and indexes, and when.

They are kept beside an object, signed when it is pushed, and kept when it is pulled. No user name is in them: the key
that signs says who.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from vstore import __version__
from vstore.build.recipe import LayerRecipe, Recipe
from vstore.digest import Digest, canonical_json, parse_json
from vstore.objects import StorePath
from vstore.store import BuildStatement, Store
from vstore.store.manifests import builds_of
from vstore.values import frozen


@frozen
class Build:
    """A build of an object, by a statement that the key `signed_by` signed, None for a build of this store.

    `lock` is the name of the lock file and the digest of its packages, `indexes` are the servers of the wheels.
    """

    recipe: Digest
    host: str
    system: str
    vstore: str
    built_at: datetime
    seconds: float
    uv: str | None = None
    lock: str | None = None
    indexes: tuple[str, ...] = ()
    signed_by: str | None = None


def state_build(recipe: Recipe, seconds: float, lock: str | None = None) -> BuildStatement:
    """Return the statement of a build that ends now. `lock` names the lock of a layer, if it is known."""
    document = {
        "recipe": str(recipe.digest),
        "host": platform.node(),
        "system": platform.platform(),
        "vstore": __version__,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "uv": _uv_version() if isinstance(recipe, LayerRecipe) else None,
        "lock": lock,
        "indexes": _indexes(recipe) if isinstance(recipe, LayerRecipe) else [],
    }
    return BuildStatement(canonical_json(document).decode())


def read_builds(store: Store, path: StorePath) -> Iterator[Build]:
    """Yield what is known of the builds of an object. Statements that this vstore cannot read are skipped."""
    for statement in builds_of(store.manifest(path)[1]):
        try:
            yield _parse(statement)
        except (ValueError, KeyError, TypeError):
            continue


def _parse(statement: BuildStatement) -> Build:
    document: Mapping[str, Any] = parse_json(statement.text.encode())
    return Build(
        recipe=Digest.parse(document["recipe"]),
        host=str(document["host"]),
        system=str(document["system"]),
        vstore=str(document["vstore"]),
        built_at=datetime.fromisoformat(document["built_at"]).astimezone(UTC),
        seconds=float(document["seconds"]),
        uv=None if document["uv"] is None else str(document["uv"]),
        lock=None if document["lock"] is None else str(document["lock"]),
        indexes=tuple(map(str, document["indexes"])),
        signed_by=statement.key,
    )


def _indexes(recipe: LayerRecipe) -> list[str]:
    """Return the servers of the indexes, or those of wheels that have no index."""
    parts = (urlsplit(wheel.index or wheel.location) for wheel in recipe.wheels)
    return sorted({f"{one.scheme}://{one.hostname}" for one in parts if one.hostname})


@cache
def _uv_version() -> str | None:
    try:
        return version("uv")
    except PackageNotFoundError:
        return None
