"""Reading a virtual environment: the packages that are installed in it."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vstore.credentials import without_login
from vstore.errors import UsageError
from vstore.migration.documents import read_text
from vstore.migration.model import Choice, LeftOut, Pin, SourceProject
from vstore.migration.requirement import SPEC, is_wheel_url
from vstore.spec.requirement_hints import wheel_by_name, wheel_hint


def read_venv(path: Path, choice: Choice) -> SourceProject:
    """Read an environment. Its packages that no other one needs are the requirements. Raises UsageError."""
    del choice
    settings = dict(_setting(line) for line in read_text(path / "pyvenv.cfg").splitlines() if "=" in line)
    version = settings.get("version_info") or settings.get("version") or ""
    folders = [*path.glob("lib/python*/site-packages"), *path.glob("Lib/site-packages")]
    if not folders:
        raise UsageError(f"{path} has no site-packages", hint="give the folder of a virtual environment to --from")
    pins, requirements, left_out = {}, [], []
    for found in distributions(path=[str(folder) for folder in folders]):
        title = str(found.metadata["Name"] or "")
        if not title:  # a folder without METADATA, left by a broken installation
            continue
        name = canonicalize_name(title)
        origin = _origin(found)
        if name == "pip":
            left_out.append(LeftOut(subject=f"pip {found.version}", reason="layers are made by vstore, not by pip"))
        elif origin is None:
            pins[name] = _pin(name, found)
        elif is_wheel_url(origin):
            requirements.append(f"{name} @ {origin}")
        elif origin.endswith(".whl"):
            left_out.append(LeftOut(subject=f"{name} from {origin}", reason=wheel_by_name(origin, name, SPEC)))
        else:
            left_out.append(LeftOut(subject=f"{name} from {origin}", reason=wheel_hint(origin, SPEC, name)))
    needed = {one for pin in pins.values() for one in pin.requires}
    requirements += [name for name in pins if name not in needed] or list(pins)
    if settings.get("include-system-site-packages") == "true":
        reason = "the environment also sees those of its interpreter: name those that are used"
        left_out.append(LeftOut(subject="packages of the system", reason=reason))
    return SourceProject(
        name=(path.absolute().parent if path.name in (".venv", "venv", "env") else path.absolute()).name,
        format=f"environment of Python {version}",
        requirements=tuple(sorted(requirements)),
        pins=tuple(pin for _, pin in sorted(pins.items())),
        python_version=".".join(version.split(".")[:3]) or None,
        left_out=tuple(left_out),
    )


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _pin(name: str, found: Distribution) -> Pin:
    requires = []
    for text in found.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or "extra ==" not in str(requirement.marker):
            requires.append(canonicalize_name(requirement.name))
    return Pin(name=name, version=found.version, size_bytes=_size(found), requires=tuple(requires))


def _size(found: Distribution) -> int | None:
    """Return the bytes of the files that the package has recorded."""
    sizes = [one.size for one in found.files or () if one.size is not None]
    return sum(sizes) if sizes else None


def _origin(found: Distribution) -> str | None:
    """Return where a package was installed from, if it was no index (``direct_url.json``)."""
    text = found.read_text("direct_url.json")
    if text is None:
        return None
    try:
        values = json.loads(text)
        url = without_login(str(values["url"]))
        vcs = values.get("vcs_info")
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
    except (ValueError, TypeError, KeyError):
        return None
