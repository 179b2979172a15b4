"""Profiles: generations of a stack, switched in one rename."""

from vstore.profile.diff import Change, compare
from vstore.profile.generations import append, current, forget, history, names, rollback, switch
from vstore.profile.model import Generation
from vstore.profile.retention import expired

__all__ = [
    "Change",
    "Generation",
    "append",
    "compare",
    "current",
    "expired",
    "forget",
    "history",
    "names",
    "rollback",
    "switch",
]
