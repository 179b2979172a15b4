"""Copy launch and support modules from their source objects into a layer, as hard links."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from vstore.errors import BuildError
from vstore.objects import SOURCE_FOLDER


def link_modules(source: Path, site_packages: Path) -> list[str]:
    """Link the modules of a source object into site-packages, and return their names there.

    A file is copied where a link is not possible. Raises BuildError if a distribution has a file of the same name.
    """
    top = source / SOURCE_FOLDER
    try:
        for folder, _, files in os.walk(top):
            target = site_packages / Path(folder).relative_to(top)
            target.mkdir(parents=True, exist_ok=True)  # with another mode than in the object: bytecode is still to come
            for name in files:
                _link_or_copy(Path(folder, name), target / name)
    except (FileExistsError, NotADirectoryError) as error:
        found = Path(os.fsdecode(error.filename2 or error.filename)).name
        raise BuildError(f"{found} is a module of this layer and a file of one of its distributions") from error
    return sorted(os.listdir(top))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
            raise
        shutil.copy(source, target)
