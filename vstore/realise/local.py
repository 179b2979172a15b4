"""Realising the nodes of requests on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from vstore.objects import StorePath
from vstore.realise.execute.executor import ThreadExecutor
from vstore.realise.execute.nodes import NodeBuilder, NodeRealiser
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.processes import BuildProcesses, ProcessBuilder
from vstore.realise.prepare import PreparedRequest
from vstore.spec.select import Operation


@contextmanager
def in_threads(requests: Sequence[PreparedRequest], *, processes: int | None = None) -> Iterator[ThreadExecutor]:
    """Yield an executor for the nodes of requests: with `processes` its builds run in so many processes.

    The options of the first request are those of the run. A node of several requests is realised with the settings of
    the first of them.
    """
    session, first = requests[0].session, requests[0].request
    with ExitStack() as held:
        pool = held.enter_context(BuildProcesses(session.store.layout.root)) if processes else None
        realisers: dict[StorePath, NodeRealiser] = {}
        for one in reversed(requests):
            builder = ObjectBuilder(
                one.session,
                one.interpreters,
                import_sources=one.sources.import_all,
                keep_failed=one.request.keep_failed,
                locks=one.lock_names,
            )
            held.enter_context(closing(builder))
            realiser = _realiser(one, ProcessBuilder(builder, pool) if pool else builder)
            realisers |= dict.fromkeys(one.plan.nodes, realiser)
        yield ThreadExecutor(
            lambda node, below: realisers[node.key].realise(node, below),
            processes or session.jobs,
            session.cancel,
            keep_going=first.keep_going,
        )


def _realiser(prepared: PreparedRequest, builder: NodeBuilder) -> NodeRealiser:
    request, selection = prepared.request, prepared.selection
    below = {name for layer in selection.built for name in layer.dependency_names}
    checked = [one for one in selection.built if request.check and Operation.BUILD in selection.of(one)]
    return NodeRealiser(
        prepared.session,
        builder,
        dry_run=request.dry_run,
        must_be_present=below - {layer.env_name for layer in selection.built},
        rebuild_and_compare={layer.env_name for layer in checked},
    )
