"""Events of the nodes of a run, for those who watch it."""

from __future__ import annotations

from enum import StrEnum

from vstore.values import frozen


class NodeState(StrEnum):
    """The state of a node. A done node has the origin of its object."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@frozen
class NodeEvent:
    """A change of the state of a node. `activity` is one or two words, such as ``building`` or ``substituted``.

    `done` and `total` count the nodes of the run. `seconds` is how long the node took, 0 before it is done.
    """

    name: str
    target: str
    state: NodeState
    activity: str
    worker: str | None = None
    seconds: float = 0.0
    done: int = 0
    total: int = 0
