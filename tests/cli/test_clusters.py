"""Plain lines about the nodes of a cluster: two for each node, and one every half minute."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scripts.testing.machine import Said
from vstore.cli.clusters import NodeLog
from vstore.cluster.client.events import NodeEvent, NodeState
from vstore.target import Target

RUNNING, WAITING, DONE, FAILED = NodeState.RUNNING, NodeState.WAITING, NodeState.DONE, NodeState.FAILED


class Lines(Said):
    """Also remembers ends of work, among the notes."""

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        self.notes.append(f"{subject}: {outcome} in {seconds:.1f} s")


def lines(*events: tuple[float, NodeState, str, str | None], repeat_at: Sequence[float] = (), each: bool = True) -> str:
    """Return the lines about a node `a`. Each event is a time, a state, an activity and a worker."""
    log = NodeLog(reporter := Lines(), each=each)
    for at, state, activity, worker in events:
        seconds = 4.5 if state == DONE else 0.0
        event = NodeEvent(
            name="a",
            target=str(Target.host()),
            state=state,
            activity=activity,
            worker=worker,
            seconds=seconds,
            done=1,
            total=9,
        )
        log.add(event, at)
    for now in repeat_at:
        log.repeat(now)
    return "\n".join(reporter.notes)


def test_a_node_has_two_lines() -> None:
    begun = [(0.0, WAITING, "waiting", None), (1.0, RUNNING, "started", "one"), (2.0, RUNNING, "building", "one")]
    assert lines(*begun, (9.0, DONE, "built", "one")) == "a: started on one\na: built on one in 4.5 s"
    assert lines(*begun, (9.0, FAILED, "failed", "one")) == "a: started on one\na: failed on one in 8.0 s"
    assert lines(*begun, (9.0, DONE, "built", "one"), each=False) == ""


def test_what_runs_is_told_again() -> None:
    begun = [(1.0, RUNNING, "started", "one"), (2.0, RUNNING, "building", "one")]
    told = lines(*begun, repeat_at=(31.0, 91.0), each=False).splitlines()
    assert told == [
        "cluster: 1 of 9 done; a on one for 30 s (building)",
        "cluster: 1 of 9 done; a on one for 1 min 30 s (building)",
    ]
    many = [(float(number), RUNNING, "building", f"worker-{number}") for number in range(5)]
    assert lines(*many, repeat_at=(31.0,), each=False).endswith("a on worker-2 for 29 s (building), 2 more")
    assert lines(repeat_at=(31.0,)) == ""


@pytest.mark.parametrize("by", ["one", None])
def test_a_worker_that_gives_a_node_back_does_not_run_it(by: str | None) -> None:
    told = lines((1.0, RUNNING, "building", "one"), (5.0, WAITING, "waiting", by), repeat_at=(31.0,), each=False)
    assert told == "cluster: 1 of 9 done; no worker has a node"
    again = lines((1.0, RUNNING, "building", "one"), (5.0, WAITING, "waiting", by), (6.0, RUNNING, "started", "two"))
    assert again == "a: started on one\na: started on two"
