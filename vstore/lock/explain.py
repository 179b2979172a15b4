"""uv's failures as ours: which layer, which requirement, and which pins of lower layers took part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlparse

from vstore.errors import LockError
from vstore.lock.edit import NEED_WHEELS
from vstore.lock.project import Question, lower_pins, names, project_name
from vstore.spec import Layer
from vstore.spec.requirements import wheel_hint
from vstore.uv import UvFailed

_NO_SOURCE = ("no usable wheels", "building from source is disabled", "Wheels are required")


class Unsatisfiable(LockError):
    """What is asked for contradicts itself, or the pins below."""


def check_requirements(question: Question) -> None:
    """Refuse what could only be built: a requirement with a URL that leads to no wheel."""
    from packaging.requirements import Requirement

    for text in question.layer.requirements:
        url = Requirement(text).url
        if url is not None and not urlparse(url).path.endswith(".whl"):
            raise LockError(
                f"layer {question.layer.env_name}: only wheels are used, and this URL leads to none: {text}",
                hint=wheel_hint(url),
            )


def lacks_wheels(error: UvFailed) -> bool:
    """Whether uv found a package, but no wheel of it for some platform."""
    return "-compatible wheels" in error.output


def explained(question: Question, error: UvFailed) -> LockError:
    """The LockError to raise instead; Unsatisfiable where other pins below or other requirements could help."""
    name = question.layer.env_name
    if error.unreachable or "offline" in (error.hint or "") or "no space left" in error.message:
        return LockError(f"layer {name} cannot be locked: {error.message}", details=error.details, hint=error.hint)
    if "settings.toml" in error.output:
        return LockError(
            f"{question.spec.path.name}: uv does not accept what [tool.uv] says",
            details=error.details,
            hint="its fields are uv's own, see https://docs.astral.sh/uv/reference/settings/",
        )
    if any(sign in error.output for sign in _NO_SOURCE) and not lacks_wheels(error):
        found = dict.fromkeys(re.findall(r"Wheels are required for `([^`]+)`", error.output))
        what = f": no wheel of {', '.join(found)}" if found else ""
        return LockError(
            f"layer {name} cannot be locked{what}", details=error.details, hint=f"only wheels are used: {NEED_WHEELS}"
        )
    pins = list(_pins(question, error.output))
    if question.above:
        return Unsatisfiable(
            f"layer {name} and those it shares a stack with cannot be locked together",
            details=[*_requirements([question.layer, *question.above], error.output), *pins, *error.details],
            hint="change one of these requirements, or lock with --no-joint",
        )
    if not pins:
        return Unsatisfiable(
            f"layer {name} cannot be locked", details=error.details, hint="change the requirements of this layer"
        )
    return Unsatisfiable(
        f"layer {name} cannot be locked: it conflicts with what is pinned below it",
        details=[*pins, *error.details],
        hint=f"run `vstore lock --joint {question.spec.path.name}`, which pins the layers below so that those above"
        " can be met; or change the requirements",
    )


def _requirements(layers: Iterable[Layer], output: str) -> Iterator[str]:
    """What layers require of the packages that uv speaks of."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for layer in layers:
        for text in layer.requirements:
            if names(output, canonicalize_name(Requirement(text).name)):
                yield f"layer {layer.env_name} requires {text}"


def _pins(question: Question, output: str) -> Iterator[str]:
    """Per pin from below that uv speaks of: which layer pins it, and who in this layer wants something else."""
    text = " ".join(output.split())
    for pin, owner in lower_pins(question.lowers):
        package, _, version = pin.partition(" ;")[0].partition("==")
        if not version or not names(output, package):
            continue
        wanted = list(dict.fromkeys(_wanted(question, text, package)))
        because = f", but {' and '.join(wanted)}" if wanted else ""
        yield f"{package}=={version} is pinned by layer {owner}{because}"


def _wanted(question: Question, text: str, package: str) -> Iterator[str]:
    """Who depends on a package, in uv's words made ours."""
    subject = r"(your project|[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)(?:\{[^}]*\})?([=<>!~][^\s]*)?"
    wanted = rf"({re.escape(package)}(?:\{{[^}}]*\}})?(?:[=<>!~][^\s]*)?)(?=[\s,.]|$)"
    for who, version, what in re.findall(rf"{subject} depends? on {wanted}", text):
        what = re.sub(r"\{[^}]*\}", "", what).rstrip(",.")
        if who in ("your project", project_name(question.layer)):
            yield f"layer {question.layer.env_name} requires {what}"
        else:
            yield f"{who}{version} in layer {question.layer.env_name} depends on {what}"
