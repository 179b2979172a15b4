"""Requests to caches and signatures, counted in a client and in workers; for the bench of clusters."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vstore.reporter import Detail, NullReporter


class Counts(NullReporter):
    """Counts requests by method and folder, and signatures made and checked in this process."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def detail(self, text: object, kind: Detail = Detail.DECISION) -> None:
        words = str(text() if callable(text) else text).split(": ")
        if kind == Detail.CALL and words[0].startswith(("file:", "oci:")):
            method, *_, key = words[1].split()
            self.found[f"{method} {key.split('/')[0]}"] += 1

    def note(self, text: str) -> None:
        print(text, flush=True)

    def count_signatures(self) -> None:
        """Count all signatures of this process from now on."""
        from vstore.remote.records.trust import Key, SecretKey

        sign, verifies = SecretKey.sign, Key.verifies

        def counted_sign(key: SecretKey, fingerprint: bytes) -> object:
            self.found["signatures made"] += 1
            return sign(key, fingerprint)

        def counted_verifies(key: Key, fingerprint: bytes, signature: bytes) -> bool:
            self.found["signatures checked"] += 1
            return verifies(key, fingerprint, signature)

        SecretKey.sign, Key.verifies = counted_sign, counted_verifies  # type: ignore[assignment,method-assign]


def run_counting_worker(root: str, name: str, address: str, counts: str) -> None:
    """Run a worker that writes its counts to a file after each node."""
    from vstore.cluster.address import SchedulerAddress
    from vstore.cluster.worker.service import WorkerOptions, run_worker
    from vstore.cluster.worker.work import NodeWorker

    found, realise = Counts(), NodeWorker.realise
    found.count_signatures()

    def counted(worker: NodeWorker, text: str, below: Sequence[str]) -> object:
        try:
            return realise(worker, text, below)
        finally:
            Path(f"{counts}.new").write_text(json.dumps(found.found))
            os.replace(f"{counts}.new", counts)

    NodeWorker.realise = counted  # type: ignore[assignment,method-assign]
    run_worker(Path(root), WorkerOptions(scheduler=SchedulerAddress.of(address), name=name, jobs=1), found)
