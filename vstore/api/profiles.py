"""Profiles: generations of stacks, switched, rolled back, compared and forgotten."""

from vstore.profile import (
    Change,
    Generation,
    Retention,
    append,
    compare,
    current,
    expired,
    forget,
    forget_all,
    forget_expired,
    forgettable,
    history,
    names,
    rollback,
    switch,
)

__all__ = [
    "Change",
    "Generation",
    "Retention",
    "append",
    "compare",
    "current",
    "expired",
    "forget",
    "forget_all",
    "forget_expired",
    "forgettable",
    "history",
    "names",
    "rollback",
    "switch",
]
