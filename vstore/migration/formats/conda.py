"""Reading ``environment.yml`` of conda: Python's version and the packages of pip. Those of conda are named."""

from __future__ import annotations

import re
from pathlib import Path

from vstore.credentials import HIDDEN
from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.extras import require_extra
from vstore.migration.documents import read_text
from vstore.migration.formats.requirements_txt import RequirementsReader
from vstore.migration.model import Choice, SourceProject
from vstore.values import replace

_NAMES = {"pytorch": "torch", "py-opencv": "opencv-python", "faiss": "faiss-cpu", "pytables": "tables"}  # in indexes


def read_environment(path: Path, choice: Choice) -> SourceProject:
    """Read an environment. `choice` does not matter. Raises UsageError."""
    del choice
    document = _document(path)
    reader, python = RequirementsReader(), ""
    entries = document.values.get("dependencies")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            for line in Fields(entry).texts("pip"):
                reader.read_lines(line, path.parent)
            continue
        if not isinstance(entry, str):
            reader.collected.leave_out(f"an entry of {path.name}", "not the name of a package")
            continue
        package, version = _conda_package(entry)
        if package == "python":
            python = version or ""
        elif package not in ("pip", "setuptools", "wheel"):
            reader.collected.leave_out(f"conda package {_without_token(entry)}", _advice(package, version))
    for channel in document.texts("channels"):
        reader.collected.leave_out(
            f"channel {_without_token(channel)}", "layers are made from wheels of a Python package index"
        )
    variables = document.values.get("variables")
    for variable in variables if isinstance(variables, dict) else ():
        reader.collected.leave_out(f"variable {variable}", "a layer sets none: set it where the application starts")
    name = document.optional_text("name") or path.absolute().parent.name
    project = reader.project(name, path.name)
    if python[:1].isdigit():
        return replace(project, python_version=python)
    return replace(project, python=python)


def _without_token(channel: str) -> str:
    """Return a channel without the token in its path (``/t/TOKEN/``), which private channels have."""
    return re.sub(r"/t/[^/]+", f"/t/{HIDDEN}", channel)


def _document(path: Path) -> Fields:
    require_extra("conda", "environments of conda")
    import yaml  # only with that extra

    try:
        document = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict) or not isinstance(document.get("dependencies"), list):
        raise UsageError(f"{path} is not an environment of conda: it has no list of `dependencies`")
    return Fields(document)


def _conda_package(text: str) -> tuple[str, str | None]:
    """Return the name of a package of conda, and its version if it is one: of ``channel::name=1.2=build``."""
    plain = text.rpartition("::")[2].strip()
    found = re.match(r"(?P<name>[\w.-]+)\s*=*\s*(?P<version>(?<=[= ])\d[\w.]*)?(?P<range>[<>!~].*)?", plain)
    if found is None:
        return plain.lower(), None
    version = found["version"]
    return found["name"].lower(), version.rstrip(".") if version else (found["range"] or None)


def _advice(name: str, version: str | None) -> str:
    if version is None or version[0] in "<>!~":
        wanted = version or ""
    else:
        wanted = f"=={version}" if version.count(".") > 1 else f"=={version}.*"
    return f"of conda: write `{_NAMES.get(name, name)}{wanted}` if the package index has it as a wheel"
