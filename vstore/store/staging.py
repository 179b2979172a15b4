"""Folders in which objects are built, and their way into the store: one step, in open folders."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vstore.errors import StoreError, VstoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.removal import BY_HANDLE
from vstore.fs.trees.scan import freeze_directory
from vstore.store.layout import Layout


def check_mounts(layout: Layout) -> None:
    """Raise StoreError where no folder can be moved from the staging area to the store in one step."""
    if not layout.on_one_mount(layout.tmp):
        raise StoreError(
            f"{layout.tmp} and {layout.store} are on different mounts: no object moves between them in one step",
            hint="mount the whole root in one place, or choose another with --root",
        )


@contextmanager
def staging(layout: Layout, name: str, *, keep_failed: bool) -> Iterator[Path]:
    """A folder to build in, as `Store.staging` says."""
    folder = layout.tmp / f"{name}-{os.urandom(6).hex()}"
    lock = folder.with_name(folder.name + ".lock")
    with ExitStack() as held:
        tmp = held.enter_context(layout.opened(layout.tmp))
        with lock_file(layout.gc_lock, shared=True):  # so that no collector sees the lock before it is held
            held.enter_context(lock_file(lock))
        tmp.make_folder(folder.name, 0o700)  # nobody else puts links to his files into it
        try:
            reached(Point.STAGED)
            yield folder
        except Exception as error:
            if keep_failed and folder.is_dir():
                with suppress(OSError):  # ``failed`` is a mount of its own
                    _keep(layout, tmp, folder.name)
                    if isinstance(error, VstoreError):
                        error.details += (f"kept: {layout.failed / folder.name}",)
            raise
        finally:
            tmp.remove(folder.name)
            tmp.unlink(lock.name)


def _keep(layout: Layout, tmp: Folder, name: str) -> None:
    with layout.opened(layout.root) as root:
        with suppress(FileExistsError):
            root.make_folder(layout.failed.name)
        with root.folder(layout.failed.name) as failed:
            tmp.rename(name, failed, name)


def move_in(layout: Layout, staged: Path, final: Path) -> None:
    """Move a tree into place, in exchange for a killed process's leftover or a damaged object; then freeze it."""
    with layout.opened(staged.parent) as source, layout.opened(final.parent) as store:
        if not source.exchange(staged.name, store, final.name):
            _clear(layout, store, final.name)
            reached(Point.ADD_CLEARED)
            source.rename(staged.name, store, final.name)
        reached(Point.ADD_MOVED)
        with store.folder(final.name) as folder:
            freeze_directory(folder.handle if BY_HANDLE else final)
            folder.flush()
        store.flush()
        reached(Point.ADD_FROZEN)


def _clear(layout: Layout, store: Folder, name: str) -> None:
    """Put aside what a killed process left, or a damaged object. The caller holds the temp root and the object's lock.

    What another user left gets a new name in the same folder, which does not need his consent. A folder in the
    lower layer of an overlay cannot be moved at all (EXDEV): it is removed where it is.
    """
    try:
        is_folder = stat.S_ISDIR(store.lstat(name).st_mode)
    except FileNotFoundError:
        return
    token = os.urandom(4).hex()
    try:
        if is_folder:
            store.thaw(name)
        with layout.opened(layout.trash) as trash:
            store.rename(name, trash, f"{name}-{token}")
    except PermissionError:
        store.rename(name, store, f".{name}.{token}")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        store.remove(name)
