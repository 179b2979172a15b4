"""The resources of a cluster, in units: workers offer them, and a task runs where all that it asks for are free."""

from __future__ import annotations

import re

from vstore.build import BUILDER
from vstore.cluster.tasks import PROTOCOL
from vstore.errors import UsageError
from vstore.target import Target

RELEASE_RESOURCE = f"vstore-{PROTOCOL}-{BUILDER}"
_RESOURCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9]{1,15}(?:\.[0-9]+)?)")


def key_resource(key: str) -> str:
    """Return the name of the resource that workers with a signing key of this name offer."""
    return f"key:{key}"


def parse_resources(text: str) -> dict[str, float]:
    """Parse ``NAME=NUMBER``, several with commas. Raises UsageError."""
    return dict(map(parse_resource, filter(None, map(str.strip, text.split(",")))))


def parse_resource(text: str) -> tuple[str, float]:
    """Parse ``NAME=NUMBER``. Raises UsageError, also for a name that workers give to resources of their own."""
    found = _RESOURCE.fullmatch(text)
    if found is None:
        raise UsageError(f"not a resource: {text}", hint="write NAME=NUMBER, such as memory=16")
    name, amount = found.groups()
    if name.startswith("vstore-") or name in set(Target):
        raise UsageError(f"workers offer this resource themselves: {name}", hint="choose another name, such as memory")
    return name, float(amount)
