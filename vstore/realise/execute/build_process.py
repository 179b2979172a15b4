"""A process that builds layers for another one: what it is told, what it answers, and its main function.

Standard input has an order a line, standard output a reply a line: reports of the work, then its outcome. The process
ends with its standard input, so it does not survive the process that started it; a build that runs then is cancelled.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from vstore.build.recipe import LayerRecipe
from vstore.cancel import Cancelled, CancelToken, set_waiting
from vstore.documents import Fields
from vstore.errors import UsageError, VstoreError
from vstore.fs.faults import arm
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.reports import ReportWriter
from vstore.realise.execute.sources import require_inputs
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.session import Session
from vstore.store import Store
from vstore.values import frozen

_CLEANUP_SECONDS = 3.0
OUTCOME, SYSTEM_ERROR = "outcome", "system error"


@frozen
class BuildOrder:
    """A layer to build, and the settings for it. The text of an order may have logins.

    The objects and source objects that the layer is built from are in the store. `wait_seconds` bounds waits for other
    processes; None means the defaults.
    """

    task: NodeTask
    jobs: int
    keep_failed: bool
    offline: bool
    environment: Mapping[str, str]
    uv_settings: Mapping[str, object]
    wait_seconds: float | None

    def encode(self) -> str:
        """Return the text, which is one line."""
        return json.dumps(
            {
                "task": self.task.encode(),
                "jobs": self.jobs,
                "keep_failed": self.keep_failed,
                "offline": self.offline,
                "environment": dict(self.environment),
                "uv_settings": dict(self.uv_settings),
                "wait_seconds": self.wait_seconds,
            }
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text. Raises UsageError if it is malformed."""
        try:
            fields = Fields(json.loads(text))
            return cls(
                task=NodeTask.parse(fields.text("task")),
                jobs=fields.integer("jobs"),
                keep_failed=fields.values.get("keep_failed") is True,
                offline=fields.values.get("offline") is True,
                environment=fields.texts_by_key("environment"),
                uv_settings=fields.table("uv_settings").values,
                wait_seconds=fields.number("wait_seconds") if fields.values.get("wait_seconds") is not None else None,
            )
        except ValueError as error:
            raise UsageError(f"not an order to build: {error}") from error


def main() -> None:
    """Build what standard input orders, until it ends. The last argument is the root of the store."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C, the process that started this one ends it
    arm(os.environ.get("VSTORE_FAULT"))
    replies = os.dup(1)
    os.dup2(2, 1)  # nothing else is written to the pipe
    with ExitStack() as held, suppress(Cancelled):
        worker = _BuildWorker(Path(sys.argv[-1]), replies, held)
        threading.Thread(target=worker.read, args=(sys.stdin.fileno(),), daemon=True).start()
        worker.work()


class _BuildWorker:
    def __init__(self, root: Path, replies: int, held: ExitStack) -> None:
        self._root = root
        self._replies = replies
        self._held = held
        self._store: Store | None = None
        self._orders: SimpleQueue[str | None] = SimpleQueue()
        self._reply_lock = threading.Lock()
        self._lock = threading.Lock()
        self._cancel = CancelToken()
        self._ended = False

    def read(self, descriptor: int) -> None:
        """Read orders until the input ends. Then cancel the build that runs, and end the process if that takes long."""
        with open(descriptor, "rb", closefd=False) as orders:
            for line in orders:
                self._orders.put(line.decode())
        with self._lock:
            self._ended = True
            self._cancel.set()
        self._orders.put(None)
        threading.Event().wait(_CLEANUP_SECONDS)
        os._exit(1)

    def work(self) -> None:
        """Carry out orders, one at a time. Raises Cancelled if the input ends meanwhile."""
        while (text := self._orders.get()) is not None:
            order = BuildOrder.parse(text)
            try:
                outcome = NodeOutcome(key=order.task.node.recipe.key, layer=self._build(order))
            except VstoreError as error:
                outcome = NodeOutcome(key=order.task.node.recipe.key, failure=error)
            except OSError as error:
                names = [os.fsdecode(one) if one else None for one in (error.filename, error.filename2)]
                self._reply(json.dumps([SYSTEM_ERROR, error.errno, error.strerror or str(error), *names]))
                continue
            self._reply(json.dumps([OUTCOME, outcome.encode()]))

    def _build(self, order: BuildOrder) -> RealisedLayer:
        recipe = order.task.node.recipe
        if not isinstance(recipe, LayerRecipe):
            raise UsageError(f"{recipe.name} is not a layer")
        session = self._session(order)
        builder = ObjectBuilder(
            session,
            Interpreters(session, compiler=order.task.compiler),
            import_sources=lambda recipe: require_inputs(session.store, recipe),
            keep_failed=order.keep_failed,
            locks={recipe.name: order.task.lock} if order.task.lock else {},
        )
        with closing(builder):
            path = builder.build(recipe)
        return RealisedLayer(name=recipe.name, kind=recipe.kind, path=path, origin=Origin.BUILT, seconds=0.0)

    def _session(self, order: BuildOrder) -> Session:
        if self._store is None:
            self._store = self._held.enter_context(Store.open(self._root, create=False))
        reporter = ReportWriter(self._reply)
        set_waiting(reporter.note, lambda: order.wait_seconds)
        session = Session.open(
            self._store, offline=order.offline, environment=order.environment, jobs=order.jobs, reporter=reporter
        )
        with self._lock:
            self._cancel = session.cancel
            if self._ended:
                self._cancel.set()
        return replace(session, uv=replace(session.uv, settings=order.uv_settings))

    def _reply(self, line: str) -> None:
        data = f"{line}\n".encode()
        with self._reply_lock, suppress(BrokenPipeError):  # without a reader, the input ends too
            while data:
                data = data[os.write(self._replies, data) :]
