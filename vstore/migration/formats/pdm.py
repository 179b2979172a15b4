"""The settings of PDM in ``pyproject.toml``: package sources, and the table of its resolution.

https://pdm-project.org/latest/usage/config/
"""

from __future__ import annotations

from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from vstore.credentials import without_login
from vstore.documents import Fields
from vstore.migration.indexes import PYPI, IndexSettings, with_more
from vstore.migration.requirement import CollectedRequirements, in_project

_RESOLUTION = {"overrides", "excludes", "allow-prereleases", "respect-source-order"}


def add_pdm(pdm: Fields, collected: CollectedRequirements, indexes: IndexSettings) -> None:
    """Add the settings of PDM that uv has as well, and note the others."""
    resolution = pdm.table("resolution")
    _add_sources(pdm, collected, indexes, in_order=resolution.values.get("respect-source-order") is True)
    overrides = CollectedRequirements()
    for name, value in (*pdm.table("overrides").values.items(), *resolution.table("overrides").values.items()):
        overrides.add(_override(name, str(value)))
    collected.left_out += overrides.left_out
    if overrides.requirements:
        indexes.others = with_more(indexes.others, "override-dependencies", overrides.requirements)
    if excludes := resolution.texts("excludes"):
        indexes.others = with_more(indexes.others, "exclude-dependencies", excludes)
    if True in (resolution.values.get("allow-prereleases"), pdm.values.get("allow_prereleases")):
        indexes.others["prerelease"] = "allow"
    for key in resolution.values:
        if key not in _RESOLUTION:
            collected.leave_out(f"tool.pdm.resolution.{key}", "not used for locking wheels of a stack")


def _override(name: str, version: str) -> str:
    if "://" in version:
        return f"{name} @ {version}"
    return f"{name}=={version}" if version[:1].isdigit() else f"{name}{version}"


def _add_sources(pdm: Fields, collected: CollectedRequirements, indexes: IndexSettings, *, in_order: bool) -> None:
    """Add the package sources. As in PDM, one named pypi replaces PyPI, and all are equal if not `in_order`."""
    found: list[tuple[str, str]] = []
    for source in pdm.tables("source"):
        url = in_project(source.text("url"))
        if source.values.get("type") == "find_links":
            indexes.add_option("--find-links", url)
        else:
            found.append((_title(source), url))
        if source.values.get("verify_ssl") is False:
            indexes.add_option("--trusted-host", urlsplit(without_login(url)).netloc)
        _add_packages(source, collected, indexes)
    if all(name != "pypi" for name, _ in found):
        found.insert(0, ("pypi", PYPI))
    if not in_order:
        found.sort(key=lambda one: one[0] == "pypi")
    indexes.add_searched(found, "unsafe-first-match" if in_order else "unsafe-best-match")


def _title(source: Fields) -> str:
    return source.optional_text("name") or urlsplit(without_login(source.text("url"))).netloc


def _add_packages(source: Fields, collected: CollectedRequirements, indexes: IndexSettings) -> None:
    """Add the packages that are taken from a source only, and note the other limits of the source."""
    title = _title(source)
    for pattern in source.texts("include_packages"):
        if any(sign in pattern for sign in "*?[") or source.values.get("type") == "find_links":
            reason = "write each package with its index into [tool.uv.sources]"
            collected.leave_out(f"include_packages of the source {title}: {pattern}", reason)
        else:
            indexes.take_from(canonicalize_name(pattern), title)
    if excluded := source.texts("exclude_packages"):
        reason = "write each package with another index into [tool.uv.sources]"
        collected.leave_out(f"exclude_packages of the source {title}: {', '.join(excluded)}", reason)
    if "username" in source or "password" in source:
        reason = "write it to ~/.netrc, or use a keyring"
        collected.leave_out(f"login of the source {title}", reason)
