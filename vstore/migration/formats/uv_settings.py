"""The settings of uv in a project (``[tool.uv]``) that a spec has as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.markers import InvalidMarker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.lock.markers import holds
from vstore.migration.indexes import IndexSettings
from vstore.migration.model import Choice
from vstore.migration.requirement import CollectedRequirements, place_of
from vstore.target import Target

_TAKEN = {
    *("find-links", "no-index", "index-strategy", "prerelease", "prerelease-package", "resolution"),
    *("exclude-newer", "exclude-newer-package"),
    *("constraint-dependencies", "override-dependencies", "exclude-dependencies", "dependency-metadata"),
    *("keyring-provider", "allow-insecure-host", "native-tls", "system-certs"),
}
_OF_INDEX = {
    *("format", "authenticate", "ignore-error-codes", "cache-control", "hash-algorithm"),
    *("exclude-newer", "exclude-newer-package"),
}
_NOT_USED = "not used for locking wheels of a stack"
_ELSEWHERE = {  # read elsewhere, or about building and developing the project
    *("index", "index-url", "extra-index-url", "sources", "dev-dependencies", "default-groups", "dependency-groups"),
    *("package", "managed", "workspace", "build-backend", "cache-keys", "required-version", "python-preference"),
    *("python-downloads", "link-mode", "compile-bytecode", "concurrent-downloads", "pip", "publish-url", "preview"),
    *("concurrent-builds", "concurrent-installs", "cache-dir", "build-constraint-dependencies", "check-url"),
}


def check_conflicts(conflicts: object, project: str, choice: Choice) -> None:
    """Raise UsageError if `conflicts` of uv's settings or lock exclude two chosen extras or groups from each other."""
    for entries in conflicts if isinstance(conflicts, list) else []:
        found = [_chosen(one, project, choice) for one in entries if isinstance(one, dict)]
        options = [one for one in found if one]
        if len(options) > 1:
            raise UsageError(
                f"{' and '.join(options)} exclude each other: `conflicts` of uv",
                hint="take one of them over; another spec can have the other",
            )


def _chosen(entry: Mapping[str, object], project: str, choice: Choice) -> str:
    """Return the option by which the extra or group of a conflict was chosen; empty if it was not."""
    if canonicalize_name(str(entry.get("package", project))) != canonicalize_name(project):
        return ""
    for key, chosen in (("extra", choice.extras), ("group", choice.groups)):
        if key in entry and canonicalize_name(str(entry[key])) in map(canonicalize_name, chosen):
            return f"--{key} {entry[key]}"
    return ""


class UvSettings:
    """Reads ``[tool.uv]``: settings into `indexes`, requirements with their sources into `collected`."""

    def __init__(self, table: Fields, collected: CollectedRequirements, indexes: IndexSettings, choice: Choice) -> None:
        self.collected = collected
        self.indexes = indexes
        indexes.others |= {key: value for key, value in table.values.items() if key in _TAKEN}
        self._choice = choice
        self._sources: dict[str, object] = {
            canonicalize_name(name): value for name, value in table.table("sources").values.items()
        }
        for index in table.tables("index"):
            self._add_index(index)
        if url := table.optional_text("index-url"):
            indexes.add(url, default=True)
        for url in table.texts("extra-index-url"):
            indexes.add(url)
        for key in table.values:
            if key not in _TAKEN | _ELSEWHERE:
                collected.leave_out(f"tool.uv.{key}", _NOT_USED)

    def extend(self, texts: Iterable[str]) -> None:
        """Add requirements, each from its source, if it has one."""
        for text in texts:
            self._add(text)

    def _add_index(self, index: Fields) -> None:
        explicit, default = (index.values.get(key) is True for key in ("explicit", "default"))
        more = {key: value for key, value in index.values.items() if key in _OF_INDEX}
        url, name = index.text("url"), index.optional_text("name")
        name = self.indexes.add(url, name=name, default=default, explicit=explicit, more=more)
        for key in index.values.keys() - _OF_INDEX - {"name", "url", "explicit", "default"}:
            self.collected.leave_out(f"{key} of the index {name}", _NOT_USED)

    def _add(self, text: str) -> None:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self.collected.add(text)
            return
        source = self._source(canonicalize_name(requirement.name))
        index = source.get("index")
        if isinstance(index, str):
            self.indexes.take_from(canonicalize_name(requirement.name), index)
        elif source and requirement.url is None:
            place = place_of(source)
            if place is None:  # a member of a workspace
                self.collected.leave_out(
                    text,
                    "a member of the workspace: take its dependencies over, and name its code in `support_modules`",
                )
                return
            requirement.specifier = type(requirement.specifier)()
            requirement.url = place
        self.collected.add(str(requirement))

    def _source(self, name: str) -> Mapping[str, object]:
        """Return the source of a package on this machine; an empty one if it has none."""
        value = self._sources.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and self._applies(one):
                return one
        return {}

    def _applies(self, source: Mapping[str, object]) -> bool:
        marker, extra, group = (source.get(key) for key in ("marker", "extra", "group"))
        if isinstance(extra, str) and extra not in self._choice.extras:
            return False
        if isinstance(group, str) and group not in self._choice.groups:
            return False
        try:
            return not isinstance(marker, str) or holds(marker, Target.host(), "3.12.0")
        except InvalidMarker:
            return False
