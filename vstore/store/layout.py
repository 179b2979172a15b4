"""Where things lie under the root of a store (design section 2)."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.fs.disk import one_mount, spread_folders
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, refuse_links
from vstore.fs.trees.removal import BY_HANDLE
from vstore.objects import StorePath
from vstore.store.new_root import check_new_root
from vstore.values import frozen

_FOLDERS = (
    "store",
    "manifests",
    "profiles",
    "gcroots",
    "gcroots/auto",
    "gcroots/temp",
    "logs",
    "cache",
    "cache/uv",
    "tmp",
    "tmp/trash",
    "locks",  # the last
)
_FURTHER = ("cache/remote", "cache/serve", "channels", "failed", "keys")  # each made when it is needed
ARCHIVE_SUFFIX = ".tar.zst"
_SPREAD = ("tmp", "uv")  # see `spread_folders`
_NEW_INDEX = r"index-[0-9a-f]{12}(-wal|-shm|-journal)?"
_GENERATION_LINK = r"(?P<profile>.+)-(?P<number>[1-9][0-9]{0,8})-link"


@frozen(kw_only=False)
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

    def new_index_file(self) -> Path:
        """Where an index is made anew: in the root, since ``tmp`` may be a mount of its own."""
        return self.root / f"index-{os.urandom(6).hex()}"

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
    def served(self) -> Path:
        """The archives that `vstore serve` packed; made when it is needed."""
        return self.root / "cache" / "serve"

    def served_archive(self, path: StorePath) -> Path:
        return self.served / f"{path}{ARCHIVE_SUFFIX}"

    @property
    def cache_lock(self) -> Path:
        """Held shared while a build counts on what is in uv's caches, alone by who takes something out."""
        return self.root / "locks" / "uv-cache"

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

    def opened(self, folder: Path) -> Folder:
        """Open a folder of the store, or one in it. Below the root no link is followed: StoreError for one."""
        return Folder.below(self.root, *folder.relative_to(self.root).parts)

    def on_one_mount(self, folder: Path) -> bool:
        """Whether a rename or a hard link can lead from a folder to the store's objects."""
        return one_mount(folder, self.store)

    def check(self) -> list[str]:
        """The folders that are missing, relative to the root. StoreError if one is a link or no folder."""
        missing = []
        for name in (*_FOLDERS, *_FURTHER):
            place = f"{self.root}/{name}"
            try:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    refuse_links(Path(place))
            except FileNotFoundError:
                if name in _FOLDERS:
                    missing.append(name)
        return missing

    def check_index(self) -> None:
        """Raise StoreError if the index, or a file that SQLite keeps beside it, is a link or has another name.

        SQLite would follow it, and write to another program's database.
        """
        for suffix in ("", "-wal", "-shm", "-journal"):
            place = f"{self.index_file}{suffix}"
            try:
                status = os.lstat(place)
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
                kind = "a link" if stat.S_ISLNK(status.st_mode) else "a file with another name too (a hard link)"
                raise StoreError(
                    f"the index is not opened, it is {kind}: {place}",
                    hint="see whose it is and move it away, then run `vstore reindex`",
                )

    def is_empty(self) -> bool:
        """Whether there is no object, not even one without a row."""
        with os.scandir(self.store) as found:
            return not any(found)

    def create(self) -> bool:
        """Make the folders that are missing. Return True if the last one was, which shows that all are there."""
        missing = self.check()
        is_new = not {"store", "locks"}.isdisjoint(missing) or not self._has_manifests()
        if is_new and not os.path.lexists(self.index_file):
            check_new_root(self.root, (*_FOLDERS, *_FURTHER))
        if missing:
            os.makedirs(self.root, exist_ok=True)
        for name in missing:
            with self.opened((self.root / name).parent) as parent:
                _make(parent, name.rpartition("/")[2]).close()
            reached(Point.ROOT_MADE)
        return "locks" in missing

    def _has_manifests(self) -> bool:
        """Whether some manifest has the name of an object: folders of these names alone make no store."""
        for name in os.listdir(self.manifests):
            try:
                StorePath.parse(name)
            except ValueError:
                continue
            return True
        return False

    def own_uv_cache(self) -> Path:
        """This user's uv cache, made if it is missing, for him alone. StoreError if it is a link or another user's.

        uv believes what lies in its cache, and follows links there. So in a store of several users each has one of his
        own; ``cache/uv`` is of who made the store.
        """
        if not hasattr(os, "geteuid"):
            return self.uv_cache
        user = os.geteuid()
        with self.opened(self.uv_cache.parent) as parent:
            name = "uv" if parent.lstat("uv").st_uid == user else f"uv-{user}"
            with _make(parent, name) as cache:
                status = os.fstat(cache.handle)
                if status.st_uid != user:
                    raise StoreError(f"the cache for uv is another user's: {cache.path}", hint="have it removed")
                if status.st_mode & 0o022:
                    os.fchmod(cache.handle, 0o700)
                return cache.path


def _make(parent: Folder, name: str) -> Folder:
    """Open a folder, made if it is missing."""
    made = False
    with suppress(FileExistsError):
        parent.make_folder(name, 0o700 if name.startswith("uv") else 0o777)
        made = True
    found = parent.folder(name)
    if made and name in _SPREAD and BY_HANDLE:
        spread_folders(found.handle)
    return found


def generation_link(profile: str, number: int) -> str:
    """What a generation's link in ``profiles/`` is called."""
    return f"{profile}-{number}-link"


def generation_of(name: str) -> tuple[str, int] | None:
    """The profile and the number of the generation whose link is called so; None if none is."""
    found = re.fullmatch(_GENERATION_LINK, name)
    return (found["profile"], int(found["number"])) if found else None


def is_new_index(name: str) -> bool:
    """Whether a file in the root of this name is of an index that is made beside the old one."""
    return re.fullmatch(_NEW_INDEX, name) is not None


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
