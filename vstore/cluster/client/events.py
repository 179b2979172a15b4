"""Events of the nodes of a run, for those who watch it."""

from __future__ import annotations

from enum import StrEnum

from vstore.target import Target
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

    `worker` is the one that works on the node or has ended it; of a waiting node the one that gave it back, if any.
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

    @property
    def title(self) -> str:
        """The name of the node, with its platform if that is not this machine's."""
        return self.name if self.target == Target.host() else f"{self.name} ({self.target})"
