"""Reading ``pyproject.toml`` of PEP 621, uv, Poetry, PDM and Hatch, with the lock of the tool beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.migration.documents import read_text, read_toml
from vstore.migration.formats.locks import read_pins
from vstore.migration.formats.own_code import find_packages
from vstore.migration.formats.pdm import add_pdm
from vstore.migration.formats.poetry import add_poetry, poetry_python
from vstore.migration.formats.requirements_txt import RequirementsReader
from vstore.migration.formats.uv_settings import UvSettings, check_conflicts
from vstore.migration.indexes import IndexSettings
from vstore.migration.model import Choice, OwnCode, ProjectCommand, SourceProject
from vstore.migration.requirement import CollectedRequirements


def read_pyproject(path: Path, choice: Choice) -> SourceProject:
    """Read a project. Raises UsageError or FieldError for a file that cannot be read, and for unknown choices."""
    document = read_toml(path)
    project, tool = document.table("project"), document.table("tool")
    poetry = tool.table("poetry")
    collected, indexes = CollectedRequirements(), IndexSettings()
    uv = UvSettings(tool.table("uv"), collected, indexes, choice)
    if "pdm" in tool:
        add_pdm(tool.table("pdm"), collected, indexes)
    _add_project(path.parent, document, choice, uv)
    if "poetry" in tool:
        add_poetry(poetry, choice, collected, indexes)
    _add_groups(document, choice, uv)
    _check(document, choice)
    name = project.optional_text("name") or poetry.optional_text("name") or path.absolute().parent.name
    check_conflicts(tool.table("uv").values.get("conflicts"), name, choice)
    pins = read_pins(_lock_folder(path.parent), name, choice, collected, indexes)
    return SourceProject(
        name=name,
        format=", ".join(("pyproject.toml", *([pins.file] if pins.file else []))),
        requirements=tuple(collected.requirements),
        pins=pins.pins,
        python=project.optional_text("requires-python") or poetry_python(poetry),
        python_version=_python_version(path.parent),
        settings=indexes.settings(),
        code=OwnCode(
            commands=tuple(_commands(project, poetry)), packages=tuple(find_packages(path.parent, name, document))
        ),
        left_out=(*collected.left_out, *indexes.left_out),
    )


def _add_project(folder: Path, document: Fields, choice: Choice, uv: UvSettings) -> None:
    """Add the dependencies of ``[project]``, and those of the chosen extras."""
    project = document.table("project")
    uv.extend(_without_itself(project, project.texts("dependencies")))
    if "dependencies" in project.texts("dynamic") and not _add_dynamic(folder, document, uv):
        uv.collected.leave_out(
            "dependencies", "computed by the build backend (dynamic): give a lock or a requirements file to --from"
        )
    extras = project.table("optional-dependencies")
    uv.extend(_without_itself(project, (text for extra in choice.extras for text in extras.texts(extra))))
    uv.collected.name_others(choice, extras=extras.values)
    if "entry-points" in project:
        uv.collected.leave_out("entry points for plugins", "the project is not installed: import it by name")


def _without_itself(project: Fields, texts: Iterable[str]) -> Iterator[str]:
    """Return requirements with ``project[extra]`` of the project itself replaced by those of the extra."""
    own = canonicalize_name(project.optional_text("name") or "")
    extras = project.table("optional-dependencies")
    pending, seen = list(texts), set[str]()
    while pending:
        text = pending.pop(0)
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            yield text
            continue
        if canonicalize_name(requirement.name) != own:
            yield text
            continue
        pending += [one for extra in sorted(requirement.extras - seen) for one in extras.texts(extra)]
        seen |= requirement.extras


def _add_dynamic(folder: Path, document: Fields, uv: UvSettings) -> bool:
    """Add the dependencies that setuptools reads from requirements files. Return False if there are none."""
    dynamic = document.table("tool").table("setuptools").table("dynamic").table("dependencies")
    named = dynamic.values.get("file")
    files = [named] if isinstance(named, str) else list(dynamic.texts("file"))
    reader = RequirementsReader()
    for file in files:
        reader.read_lines(read_text(folder / file), folder)
    uv.extend(reader.collected.requirements)
    uv.collected.left_out += reader.collected.left_out
    return bool(files)


def _add_groups(document: Fields, choice: Choice, uv: UvSettings) -> None:
    """Add the chosen dependency groups (PEP 735, and the older forms of uv, PDM and Hatch), and name the others."""
    groups = _groups(document)
    for name in groups:
        if name in choice.groups:
            uv.extend(_without_itself(document.table("project"), groups[name]))
    uv.collected.name_others(choice, groups=groups)


def _groups(document: Fields) -> dict[str, tuple[str, ...]]:
    tool = document.table("tool")
    found: dict[str, tuple[str, ...]] = {}
    standard = document.table("dependency-groups")
    raw = {name: list(_entries(standard, name)) for name in standard.values}
    for name in raw:
        try:
            found[name] = resolve_dependency_groups(raw, name)
        except (ValueError, LookupError) as error:
            raise UsageError(f"dependency-groups.{name}: {error}") from error
        except ExceptionGroup as group:
            raise UsageError(f"dependency-groups.{name}: {group.exceptions[0]}") from group
    if "dev-dependencies" in tool.table("uv"):
        found["dev"] = (*found.get("dev", ()), *tool.table("uv").texts("dev-dependencies"))
    older = tool.table("pdm").table("dev-dependencies")
    found |= {name: (*found.get(name, ()), *older.texts(name)) for name in older.values}
    for name, environment in tool.table("hatch").tables_by_key("envs").items():
        texts = (*environment.texts("dependencies"), *environment.texts("extra-dependencies"))
        if texts:
            found[name] = (*found.get(name, ()), *texts)
    return found


def _entries(table: Fields, name: str) -> Iterator[str | Mapping[str, str]]:
    entries = table.values[name]
    for value in entries if isinstance(entries, list) else []:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield {str(key): str(one) for key, one in value.items()}


def known_choices(document: Fields) -> Choice:
    """Return all extras and dependency groups of a project, sorted. Raises FieldError."""
    poetry = document.table("tool").table("poetry")
    extras = {*document.table("project").table("optional-dependencies").values, *poetry.table("extras").values}
    groups = {*_groups(document), *poetry.table("group").values}
    groups |= {"dev"} if "dev-dependencies" in poetry else set()
    return Choice(extras=tuple(sorted(extras)), groups=tuple(sorted(groups)))


def _check(document: Fields, choice: Choice) -> None:
    """Raise UsageError for an extra or a group that the project does not have."""
    every = known_choices(document)
    for kind, chosen, known in (("extra", choice.extras, every.extras), ("group", choice.groups, every.groups)):
        unknown = [name for name in chosen if name not in known]
        if unknown:
            have = ", ".join(known) or "none"
            raise UsageError(f"no such {kind}: {', '.join(unknown)}", hint=f"the project has: {have}")


def _commands(project: Fields, poetry: Fields) -> Iterator[ProjectCommand]:
    found: dict[str, str] = {}
    for table in (project.table("scripts"), project.table("gui-scripts"), poetry.table("scripts")):
        found |= {name: value for name, value in table.values.items() if isinstance(value, str)}
    for name, value in found.items():
        module, _, function = value.partition("[")[0].partition(":")
        yield ProjectCommand(name=name, module=module.strip(), function=function.strip())


def _lock_folder(folder: Path) -> Path:
    """Return the folder of a project's lock: its own, or that of the workspace of uv around it."""
    if (folder / "uv.lock").is_file():
        return folder
    for above in folder.absolute().parents:
        file = above / "pyproject.toml"
        if (above / "uv.lock").is_file() and file.is_file():
            return above if "workspace" in read_toml(file).table("tool").table("uv") else folder
    return folder


def _python_version(folder: Path) -> str | None:
    """Return the version in ``.python-version``, which pyenv and uv use."""
    file = folder / ".python-version"
    lines = read_text(file).split() if file.is_file() else []
    return lines[0].removeprefix("cpython").lstrip("@-") if lines else None
