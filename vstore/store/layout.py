"""The places of a store: every folder and file below its root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vstore.digest import Digest, hash_bytes
from vstore.fs.disk import one_mount
from vstore.fs.folder import Folder
from vstore.objects import StorePath

FOLDERS = (  # made with the store, in this order
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
    "locks",  # last: a store that has it is complete
)
OPTIONAL_FOLDERS = ("cache/advisories", "cache/archives", "cache/remote", "channels", "failed", "keys")  # when needed
ARCHIVE_SUFFIX = ".tar.zst"
_ARCHIVE = rf"(?P<path>.+)\.[0-9]{{1,2}}{re.escape(ARCHIVE_SUFFIX)}"
_NEW_INDEX = r"index-[0-9a-f]{12}(-wal|-shm|-journal)?"
_GENERATION_LINK = r"(?P<profile>.+)-(?P<number>[1-9][0-9]{0,8})-link"
_GENERATION_RECORD = r"\.(?P<profile>.+)-(?P<number>[1-9][0-9]{0,8})\.json"


class StoreLocks:
    """The lock files of a store. They carry no data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gc = folder / "gc"  # exclusive while a collector reads roots and removes rows, shared to add a temp root
        self.use = folder / "use"  # shared while the store is open for writing, exclusive for `reindex`
        self.trash = folder / "trash"  # exclusive while the trash is unlinked
        self.optimise = folder / "optimise"  # exclusive while files are shared
        self.uv_cache = folder / "uv-cache"  # shared while a build uses uv's caches, exclusive to remove from them

    def object(self, name: str) -> Path:
        """Return the lock to hold while the object with this store path is added. Several objects share one."""
        return self.folder / f"object-{name[:2]}"

    def profile(self, name: str) -> Path:
        """Return the lock to hold while a profile is changed."""
        return self.folder / f"profile-{name}"

    def recipe(self, recipe: Digest) -> Path:
        """Return the lock to hold while a recipe is built."""
        return self.folder / f"recipe-{recipe.short}"

    def output(self, folder: Path) -> Path:
        """Return the lock to hold while a folder outside of the store is written."""
        return self.folder / f"output-{hash_bytes('output 1', os.fsencode(os.path.realpath(folder))).short}"

    def fetch(self, path: StorePath) -> Path:
        """Return the lock to hold while an object is fetched from a cache."""
        return self.folder / f"fetch-{path.short}"

    def pack(self, path: StorePath) -> Path:
        """Return the lock to hold while an object is packed."""
        return self.folder / f"pack-{path.short}"


class StoreLayout:
    """The folders and files of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.manifests = root / "manifests"
        self.index_file = root / "index.sqlite"
        self.config_file = root / "config.toml"
        self.profiles = root / "profiles"
        self.gcroots = root / "gcroots"
        self.indirect_roots = root / "gcroots" / "auto"
        self.temp_roots = root / "gcroots" / "temp"
        self.logs = root / "logs"
        self.locks = StoreLocks(root / "locks")
        self.uv_cache = root / "cache" / "uv"
        self.negative_cache = root / "cache" / "remote"  # which objects caches did not have lately
        self.advisories = root / "cache" / "advisories"  # databases of `vstore audit`, parsed
        self.archives = root / "cache" / "archives"  # archives that were packed
        self.channels = root / "channels"  # the last number seen of each channel
        self.keys = root / "keys"  # secret keys that sign pushes
        self.emergency_space = root / "emergency-space"
        self.failed = root / "failed"
        self.tmp = root / "tmp"
        self.trash = root / "tmp" / "trash"

    def object(self, path: StorePath) -> Path:
        """Return the folder of an object."""
        return self.store / str(path)

    def manifest(self, path: StorePath) -> Path:
        """Return the manifest file of an object."""
        return self.manifests / str(path)

    def generation(self, profile: str, number: int) -> Path:
        """Return the link of a generation."""
        return self.profiles / generation_link(profile, number)

    def generation_record(self, profile: str, number: int) -> Path:
        """Return the file beside a generation's link that holds the rest of it."""
        return self.profiles / f".{profile}-{number}.json"

    def log(self, recipe: Digest) -> Path:
        """Return the compressed log of the build of a recipe."""
        return self.logs / f"{recipe.short}.log.z"

    def archive(self, path: StorePath, level: int) -> Path:
        """Return the archive of an object that was packed with this level."""
        return self.archives / f"{path}.{level}{ARCHIVE_SUFFIX}"

    def new_index_file(self) -> Path:
        """Return a new path for an index that replaces the old one: in the root, as ``tmp`` may be another mount."""
        return self.root / f"index-{os.urandom(6).hex()}"

    def relative(self, place: Path) -> str:
        """Return a path relative to the root, with ``/``."""
        return place.relative_to(self.root).as_posix()

    def opened(self, folder: Path) -> Folder:
        """Open a folder of the store, following no link below the root. Raises StoreError for a link."""
        return Folder.open(self.root, *folder.relative_to(self.root).parts)

    def on_one_mount(self, folder: Path) -> bool:
        """Return whether a rename or a hard link can lead from a folder to the store's objects."""
        return one_mount(folder, self.store)


def generation_link(profile: str, number: int) -> str:
    """Return the name of a generation's link in ``profiles/``."""
    return f"{profile}-{number}-link"


def generation_of(name: str) -> tuple[str, int] | None:
    """Return profile and number of the generation whose link has this name; None if it is no such name."""
    found = re.fullmatch(_GENERATION_LINK, name)
    return (found["profile"], int(found["number"])) if found else None


def generation_of_record(name: str) -> tuple[str, int] | None:
    """Return profile and number of the generation whose record has this name; None if it is no such name."""
    found = re.fullmatch(_GENERATION_RECORD, name)
    return (found["profile"], int(found["number"])) if found else None


def packed_object(name: str) -> StorePath | None:
    """Return the object whose archive has this name in ``cache/archives``; None if it is no such name."""
    found = re.fullmatch(_ARCHIVE, name)
    try:
        return StorePath.parse(found["path"]) if found else None
    except ValueError:
        return None


def is_new_index(name: str) -> bool:
    """Return whether a file of this name in the root belongs to an index that `reindex` was making."""
    return re.fullmatch(_NEW_INDEX, name) is not None
