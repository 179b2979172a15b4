"""Where things lie under the root of a store (design section 2)."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.fs.disk import spread_folders
from vstore.fs.faults import Point, reached
from vstore.objects import StorePath

_GENERATION_LINK = re.compile(r"(?P<profile>.+)-(?P<number>[1-9][0-9]*)-link")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one store."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def index_file(self) -> Path:
        return self.root / "index.sqlite"

    @property
    def profiles(self) -> Path:
        return self.root / "profiles"

    @property
    def gcroots(self) -> Path:
        return self.root / "gcroots"

    @property
    def indirect_roots(self) -> Path:
        return self.root / "gcroots" / "auto"

    @property
    def temp_roots(self) -> Path:
        return self.root / "gcroots" / "temp"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def uv_cache(self) -> Path:
        return self.root / "cache" / "uv"

    @property
    def reserve(self) -> Path:
        return self.root / "reserve"

    @property
    def failed(self) -> Path:
        return self.root / "failed"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        return self.root / "tmp" / "trash"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def gc_lock(self) -> Path:
        return self.root / "locks" / "gc"

    @property
    def use_lock(self) -> Path:
        return self.root / "locks" / "use"

    @property
    def config_file(self) -> Path:
        return self.root / "config.toml"

    def object(self, path: StorePath) -> Path:
        return self.store / str(path)

    def manifest(self, path: StorePath) -> Path:
        return self.manifests / str(path)

    def generation(self, profile: str, number: int) -> Path:
        return self.profiles / generation_link(profile, number)

    def log(self, recipe: Digest) -> Path:
        return self.logs / f"{recipe.short}.log.z"

    def object_lock(self, name: str) -> Path:
        """Held while the object with this store path is added; several objects share one."""
        return self.locks / f"object-{name[:2]}"

    def profile_lock(self, profile: str) -> Path:
        return self.locks / f"profile-{profile}"

    def check_owner(self) -> None:
        """Raise StoreError if the store is another user's and not shared with this one."""
        if not hasattr(os, "geteuid") or not self.locks.is_dir() or os.access(self.locks, os.W_OK):
            return
        if self.root.stat().st_uid != os.geteuid():
            raise StoreError(
                f"the store belongs to {owner_of(self.root)} and is not writable for you: {self.root}",
                hint="list, info, run and verify work as it is; for a store of your own give --root or set VSTORE_ROOT",
            )

    def create(self) -> bool:
        """Make the folders that are missing; the last one made shows that all are there. Returns whether it did."""
        if self.locks.is_dir():
            return False
        for folder in (
            self.store,
            self.manifests,
            self.profiles,
            self.indirect_roots,
            self.temp_roots,
            self.logs,
            self.uv_cache,
            self.tmp,
            self.trash,
            self.locks,
        ):
            os.makedirs(folder, exist_ok=True)
            if folder in (self.tmp, self.uv_cache):
                spread_folders(folder)
            reached(Point.ROOT_MADE)
        return True


def generation_link(profile: str, number: int) -> str:
    """What a generation's link in ``profiles/`` is called."""
    return f"{profile}-{number}-link"


def generation_of(name: str) -> tuple[str, int] | None:
    """The profile and the number of the generation whose link is called so; None if none is."""
    found = _GENERATION_LINK.fullmatch(name)
    return (found["profile"], int(found["number"])) if found else None


def owner_of(place: Path) -> str:
    """The user's name, or the number of one without a name."""
    if sys.platform == "win32":
        name = "another user"
    else:
        try:
            name = place.owner()
        except KeyError:
            name = f"user {place.stat().st_uid}"
    return name
