"""Profiles: generations of stacks, switched in one rename."""

from vstore.profile.diff import Change, compare
from vstore.profile.generations import (
    append,
    current,
    forget,
    forget_all,
    forget_expired,
    forgettable,
    history,
    names,
    rollback,
    switch,
)
from vstore.profile.retention import Retention, expired
from vstore.profile.stack import Stack, StackLayer, read_stack
from vstore.store import Generation

__all__ = [
    "Change",
    "Generation",
    "Retention",
    "Stack",
    "StackLayer",
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
    "read_stack",
    "rollback",
    "switch",
]
