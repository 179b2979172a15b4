"""The formats of other tools, and which of them a path has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from vstore.documents import FieldError
from vstore.errors import UsageError
from vstore.migration.documents import read_toml
from vstore.migration.formats.conda import read_environment
from vstore.migration.formats.pylock import read_pylock
from vstore.migration.formats.pyproject import read_pyproject
from vstore.migration.formats.requirements_txt import RequirementsReader
from vstore.migration.formats.script import read_script
from vstore.migration.formats.uv_lock import UvLock
from vstore.migration.formats.uv_settings import check_conflicts
from vstore.migration.formats.venv import read_venv
from vstore.migration.indexes import IndexSettings, with_folders, without_logins
from vstore.migration.model import Choice, SourceProject
from vstore.migration.requirement import CollectedRequirements
from vstore.values import replace

_Reader = Callable[[Path, Choice], SourceProject]
_IN_FOLDERS = ("pyproject.toml", "uv.lock", "pylock.toml", "requirements.txt", "environment.yml", "environment.yaml")
_KNOWN = (
    "a pyproject.toml, uv.lock, pylock.toml, requirements.txt, environment.yml, a script with a `# /// script` block,"
    " a spec of venvstacks, or the folder of a virtual environment in which the project is installed"
)


def read_source_project(path: Path, choice: Choice) -> SourceProject:
    """Read a project of another tool: a file, a folder with one in it, or an environment.

    Folders in its settings are absolute.

    Raises UsageError if it has no known format, cannot be read, or does not have a chosen extra or group.
    """
    place, reader = _find(path)
    try:
        project = reader(place, choice)
    except FieldError as error:
        raise UsageError(f"{place}: {error}") from error
    settings, notes = without_logins(project.settings)
    settings = with_folders(settings, lambda one: os.path.normpath(place.absolute().parent / one))
    return replace(project, settings=settings, left_out=(*project.left_out, *notes))


def existing_spec(path: Path) -> Path | None:
    """Return the spec that a path is, or that a folder of venvstacks has; None if there is none."""
    file = path / "venvstacks.toml" if path.is_dir() else path
    if file.suffix != ".toml" or not file.is_file():
        return None
    return file if {"runtimes", "frameworks", "applications"} & set(read_toml(file).values) else None


def _find(path: Path) -> tuple[Path, _Reader]:
    if path.is_dir():
        if (path / "pyvenv.cfg").is_file():
            return path, read_venv
        for name in _IN_FOLDERS:
            if (path / name).is_file():
                return _find(path / name)
        raise UsageError(f"{path} has no project: none of {', '.join(_IN_FOLDERS)}", hint=f"--from takes {_KNOWN}")
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint=f"--from takes {_KNOWN}")
    reader = _reader(path)
    if reader is None:
        raise UsageError(f"{path} has no known format", hint=f"--from takes {_KNOWN}")
    return path, reader


def _reader(path: Path) -> _Reader | None:
    name = path.name
    if name == "pyproject.toml":
        return read_pyproject
    if name in ("uv.lock", "poetry.lock", "pdm.lock"):
        return _read_lock
    if name == "pylock.toml" or (name.startswith("pylock.") and path.suffix == ".toml"):
        return read_pylock
    if path.suffix == ".py":
        return read_script
    if path.suffix in (".yml", ".yaml"):
        return read_environment
    return _read_requirements if path.suffix in (".txt", ".in") else None


def _read_requirements(path: Path, choice: Choice) -> SourceProject:
    del choice
    reader = RequirementsReader(read_pyproject)
    reader.read_file(path)
    return reader.project(path.absolute().parent.name, path.name)


def _read_lock(path: Path, choice: Choice) -> SourceProject:
    """Read a lock with the project beside it; without one, uv's lock alone."""
    beside = path.with_name("pyproject.toml")
    if beside.is_file():
        return read_pyproject(beside, choice)
    if path.name != "uv.lock":
        raise UsageError(f"{beside} does not exist", hint=f"{path.name} does not say which packages are required")
    lock = UvLock(read_toml(path), choice)
    check_conflicts(lock.document.values.get("conflicts"), lock.name, choice)
    collected, indexes = CollectedRequirements(), IndexSettings()
    collected.extend(lock.requirements())
    lock.name_others(collected)
    lock.add_to(collected, indexes)
    manifest = lock.document.table("manifest")
    for key in ("overrides", "constraints"):
        if key in manifest:
            collected.leave_out(
                f"{key} of the lock", f"give pyproject.toml beside it, which has them as {key[:-1]}-dependencies"
            )
    return SourceProject(
        name=lock.name or path.absolute().parent.name,
        format="uv.lock",
        requirements=tuple(collected.requirements),
        pins=lock.pins(),
        python=lock.python,
        settings=indexes.settings(),
        left_out=(*collected.left_out, *indexes.left_out),
    )
