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
from vstore.profile.what import What, resolve_what
from vstore.store import Generation

__all__ = [
    "Change",
    "Generation",
    "Retention",
    "Stack",
    "StackLayer",
    "What",
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
    "resolve_what",
    "rollback",
    "switch",
]
