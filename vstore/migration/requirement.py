"""Requirements of other tools, each taken over as it is, or left out with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vstore.credentials import has_credentials, without_login
from vstore.graph import reachable
from vstore.migration.model import Choice, LeftOut, Pin
from vstore.spec.requirement_hints import find_misuse, syntax_hint, wheel_hint
from vstore.spec.requirements import LOGIN_HINT

SPEC = "spec.toml"  # for commands in hints


class CollectedRequirements:
    """The requirements of a source so far, and the parts that were left out."""

    def __init__(self) -> None:
        self.requirements: dict[str, None] = {}
        self.left_out: list[LeftOut] = []

    def leave_out(self, subject: str, reason: str, option: str = "") -> None:
        """Note a part that is not taken over."""
        self.left_out.append(LeftOut(subject=subject, reason=reason, option=option))

    def add(self, text: str) -> None:
        """Take a requirement over, or note why not."""
        text = in_project(text.strip())
        misuse = find_misuse(without_login(text), SPEC)
        if misuse is not None:
            self.leave_out(text, misuse.hint)
            return
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self.leave_out(text, syntax_hint(text))
            return
        if requirement.url is None:
            self.requirements[str(requirement)] = None
        elif not is_wheel_url(requirement.url):
            self.leave_out(text, wheel_hint(without_login(requirement.url), SPEC, _named(requirement)))
        else:
            if has_credentials(requirement.url):
                requirement.url = without_login(requirement.url)
                self.leave_out(f"login of {requirement.url}", LOGIN_HINT)
            self.requirements[str(requirement)] = None

    def extend(self, texts: Iterable[str]) -> None:
        """Take several requirements over."""
        for text in texts:
            self.add(text)

    def name_others(self, choice: Choice, *, extras: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
        """Note the extras and groups of a project that are not chosen."""
        for extra in extras:
            if extra not in choice.extras:
                self.leave_out(f"extra {extra}", f"optional: --extra {extra} takes it over", f"--extra {extra}")
        for group in groups:
            if group not in choice.groups:
                self.leave_out(f"group {group}", f"for development: --group {group} takes it over", f"--group {group}")


def in_project(text: str) -> str:
    """Return a text with paths of PDM relative to the project: ``./lib`` for ``file:///${PROJECT_ROOT}/lib``."""
    return text.replace("file:///${PROJECT_ROOT}", ".")


def is_wheel_url(url: str) -> bool:
    """Return whether a URL is that of a wheel on a server."""
    place = url.partition("#")[0].partition("?")[0]
    return place.endswith(".whl") and url.startswith(("https://", "http://"))


def _named(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}" + (f" ; {requirement.marker}" if requirement.marker else "")


def place_of(source: Mapping[str, object]) -> str | None:
    """Return the URL or path of a dependency that uv or Poetry describes in a table; None if it has neither."""
    texts = {key: value for key, value in source.items() if isinstance(value, str) and value}
    if git := texts.get("git"):
        revision = next((texts[key] for key in ("rev", "tag", "branch") if key in texts), None)
        below = f"#subdirectory={texts['subdirectory']}" if "subdirectory" in texts else ""
        return f"git+{git}" + (f"@{revision}" if revision else "") + below
    return next((texts[key] for key in ("url", "path", "file") if key in texts), None)


def wheel_to_build(wanted: str) -> str:
    """Return the commands that build a wheel of a requirement, and lock a spec with it."""
    run = f"run `vstore lock --local-wheels wheels {SPEC}`"
    return f"build one by `pip wheel --no-deps -w wheels '{wanted}'`, and {run}"


def pin_of(text: str) -> Pin | None:
    """Return the pin that a requirement states; None unless it allows one version only."""
    requirement = Requirement(text)
    clauses = list(requirement.specifier)
    if len(clauses) != 1 or clauses[0].operator not in ("==", "===") or clauses[0].version.endswith(".*"):
        return None
    marker = str(requirement.marker) if requirement.marker else None
    return Pin(name=canonicalize_name(requirement.name), version=clauses[0].version, marker=marker)


def needed_packages(pins: Mapping[str, Iterable[Pin]], names: Iterable[str]) -> list[str]:
    """Return the names of the pinned packages among `names`, and of those that they need, directly or not, sorted."""
    needed = reachable(names, lambda name: [one for pin in pins.get(name, ()) for one in pin.requires])
    return sorted(needed & pins.keys())


def without_version(text: str) -> str:
    """Return a requirement without its versions."""
    return _named(Requirement(text))


def name_of(text: str) -> str:
    """Return the normalised name of a requirement."""
    return canonicalize_name(Requirement(text).name)
