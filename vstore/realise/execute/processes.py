"""Builds in processes of this machine that share the store. Everything else of a node is done in this process.

So one process asks caches, holds the locks of recipes and shows progress, and no build waits for Python's lock in
another. A process is started when a build needs it, and builds one layer at a time.
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from vstore.build.recipe import LayerRecipe, Recipe
from vstore.cancel import WAITING
from vstore.errors import BuildError, StoreError
from vstore.objects import StorePath
from vstore.realise.execute.build_process import OUTCOME, SYSTEM_ERROR, BuildOrder
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.reports import pass_on
from vstore.realise.plan.document import Node
from vstore.reporter import Reporter
from vstore.target import Target
from vstore.workers import start_process

_MAIN = "vstore.realise.execute.build_process:main"
_END_SECONDS = 3.0  # to undo the work of a cancelled build
_MOMENT_SECONDS = 0.3  # in which a signal that ended a process reaches this one too
_SHOWN_LINES = 12


class ProcessEndedError(BuildError):
    """A process ended before it answered."""


class BuildProcess:
    """A process that builds layers, one at a time."""

    def __init__(self, root: Path) -> None:
        held = ExitStack()
        self._errors = held.enter_context(TemporaryFile())  # noqa: SIM115 (closed with the process)
        self._held = held
        self._process = start_process(_MAIN, str(root.absolute()), errors=self._errors)
        self._limit = threading.Timer(_END_SECONDS, self._process.kill)
        self._limit.daemon = True

    def build(self, order: BuildOrder, reporter: Reporter) -> NodeOutcome:
        """Carry out an order, and pass on the reports of the process.

        Raises ProcessEndedError, Cancelled and OSError.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError, ValueError):  # it has ended, or is being stopped
            self._process.stdin.write(f"{order.encode()}\n".encode())
            self._process.stdin.flush()
        for line in self._process.stdout:
            match json.loads(line):
                case [kind, str(outcome)] if kind == OUTCOME:
                    return NodeOutcome.parse(outcome)
                case [kind, number, text, name, other] if kind == SYSTEM_ERROR:
                    raise OSError(number, text, name, None, other)
                case _:
                    pass_on(line.decode(), reporter)
        raise self._ended(order.task.node.recipe.name)

    def stop(self) -> None:
        """Let the process end after its build, which is cancelled. Any thread may call it, and more than once.

        The build is undone if that takes less than some seconds; then the process is killed.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self._limit.is_alive():
            with suppress(RuntimeError):  # it has begun and ended
                self._limit.start()

    def close(self) -> None:
        """End the process, and wait for its end."""
        self.stop()
        with self._held, self._process:
            assert self._process.stdout is not None
            self._process.stdout.close()  # nothing that it reports is read any more
        self._limit.cancel()

    def _ended(self, name: str) -> ProcessEndedError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return ProcessEndedError(
            f"process {self._process.pid}, which built {name}, {how}", details=lines[-_SHOWN_LINES:]
        )


class BuildProcesses:
    """The processes that build layers for one command, each started when all others are busy."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._idle: list[BuildProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._idle:
            process.stop()
        while self._idle:
            self._idle.pop().close()

    def build(self, order: BuildOrder, here: ObjectBuilder) -> NodeOutcome:
        """Carry out an order. If its process is killed, another tries it once more.

        Raises ProcessEndedError, Cancelled and OSError.
        """
        session = here.session
        try:
            return self._try(order, here)
        except ProcessEndedError as error:
            session.cancel.wait(_MOMENT_SECONDS)
            session.reporter.warn(f"{error.message}: another process tries again")
        try:
            return self._try(order, here)
        except ProcessEndedError as error:
            session.cancel.check()
            error.hint = "if the machine has too little memory, build in fewer processes: `--on 'local[1]'`"
            raise

    def _try(self, order: BuildOrder, here: ObjectBuilder) -> NodeOutcome:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        process = process or BuildProcess(self._root)
        try:
            with here.session.cancel.calling(process.stop):
                outcome = process.build(order, here.session.reporter)
        except BaseException:
            process.close()
            raise
        with self._lock:
            self._idle.append(process)
        return outcome


class ProcessBuilder:
    """Builds layers in other processes, and all else as the given builder does. Safe for several threads."""

    def __init__(self, here: ObjectBuilder, processes: BuildProcesses) -> None:
        self._here = here
        self._processes = processes
        self.interpreters = here.interpreters
        self.import_sources = here.import_sources

    def compare(self, recipe: LayerRecipe, known: StorePath) -> None:
        """Build a layer again in this process. Raises as `ObjectBuilder.compare`."""
        self._here.compare(recipe, known)

    def build(self, recipe: Recipe) -> StorePath:
        """Build an object, a layer in another process, and add it to the store.

        Raises BuildError, ToolError or StoreError, and ProcessEndedError if two processes were killed.
        """
        if not isinstance(recipe, LayerRecipe):
            return self._here.build(recipe)
        store = self._here.store
        self.import_sources(recipe)
        path = self._processes.build(self._order(recipe), self._here).result().path
        if path is not None:
            store.add_temp_root(path)
        if path is None or not store.is_valid(path):
            raise StoreError(f"{recipe.name} was built, but is not in the store: {path}", hint="run the command again")
        return path

    def _order(self, recipe: LayerRecipe) -> BuildOrder:
        here = self._here
        compiler = None if recipe.target == Target.host() else self.interpreters.compiler(recipe.python)
        uv = here.session.uv
        return BuildOrder(
            task=NodeTask(node=Node(recipe=recipe, objects={}), compiler=compiler, lock=here.locks.get(recipe.name)),
            jobs=here.session.jobs,
            keep_failed=here.keep_failed,
            offline=uv.offline,
            environment=uv.environment,
            uv_settings=uv.settings,
            wait_seconds=WAITING.limit_seconds(),
        )
