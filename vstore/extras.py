"""The optional packages of vstore, by extra. What needs one says so before it begins."""

from __future__ import annotations

from importlib.util import find_spec

from vstore.errors import UsageError

EXTRAS = {
    "audit": ("cvss", "yaml"),
    "buckets": ("obstore",),
    "cluster": ("distributed",),
    "conda": ("yaml",),
    "delta": ("hdiffpatch",),
    "report": ("jinja2",),
    "serve": ("starlette", "uvicorn"),
}


def missing_packages(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def require_extra(extra: str, user: str) -> None:
    """Raise UsageError if a package of the extra is not installed. `user` is the plural noun that needs it."""
    if missing := missing_packages(extra):
        raise UsageError(
            f"{user} need packages that are not installed: {', '.join(missing)}",
            hint=f"in the checkout of vstore, `uv tool install '.[{extra}]'` or `pip install '.[{extra}]'` adds them",
        )
