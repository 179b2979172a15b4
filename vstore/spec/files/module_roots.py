"""The folders that modules may lie in: the git checkout of the spec or its folder, and those that a user allows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Self

from vstore.fs.trees.manifest import shown
from vstore.spec.files.checkout import find_checkout
from vstore.values import frozen

ALLOW_OUTSIDE = "VSTORE_ALLOW_OUTSIDE"  # more folders, separated as in PATH
_ROOT = 0


@frozen
class ModuleRoots:
    """The spec's folder, and the `roots` that modules may lie in, with links resolved.

    A git repository is used if it belongs to one of `owners`: the spec's owner, root, and this user.
    """

    folder: Path
    roots: tuple[Path, ...]
    owners: frozenset[int]

    @classmethod
    def of(cls, spec: Path, allow_outside: Sequence[Path] = ()) -> Self:
        """Return the roots of an existing spec. Raises OSError."""
        folder = Path(os.path.realpath(spec.parent))
        owners = (
            frozenset((_ROOT, os.geteuid(), os.stat(spec).st_uid, os.stat(folder).st_uid))
            if os.name == "posix"
            else frozenset()
        )
        checkout = find_checkout(folder, owners)
        outside = (Path(os.path.realpath(place)) for place in allow_outside)
        return cls(folder=spec.parent, roots=(checkout.top if checkout else folder, *outside), owners=owners)

    def real_path(self, module: PurePosixPath) -> Path:
        """Return the path of a module with links resolved. Raises ValueError if it is missing or not allowed."""
        place = self.folder / module
        if "\0" in str(module):
            raise ValueError("does not exist")
        try:
            real = Path(os.path.realpath(place, strict=True))
        except OSError as error:
            raise ValueError("does not exist" if not os.path.lexists(place) else "is a broken link") from error
        self.check_inside(real)
        if not real.is_dir() and not real.is_file():
            raise ValueError("is neither a file nor a folder")
        return real

    def check_inside(self, real: Path, link: bytes = b"") -> None:
        """Raise ValueError unless a path, with links resolved, lies in a root. `link` is the link to it, if any."""
        if not any(real.is_relative_to(root) for root in self.roots):
            subject = f"{shown(link)} leads" if link else "leads"
            place, folder = (shown(os.fsencode(path)) for path in (real, real.parent))
            raise ValueError(
                f"{subject} out of the spec's folder, to {place}; --allow-outside {folder} would allow that"
            )


def allowed_outside(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders that `ALLOW_OUTSIDE` names."""
    return tuple(Path(os.path.abspath(one)) for one in environment.get(ALLOW_OUTSIDE, "").split(os.pathsep) if one)
