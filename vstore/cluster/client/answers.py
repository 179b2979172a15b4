"""The answers of workers: the errors in them, and what the cache gets where several must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import ClusterAnswer
from vstore.errors import CacheError, ClusterError, VstoreError
from vstore.remote import Signer
from vstore.remote.records.model import add_signatures


def write_agreed(
    run: ClusterRun, name: str, agreeing: Sequence[ClusterAnswer], others: Sequence[ClusterAnswer]
) -> None:
    """Write the realisation that enough keys state, with their signatures, and name those that state another.

    Raises CacheError if the cache states another object.
    """
    record = agreeing[0].realisation
    assert record is not None
    for one in agreeing[1:]:
        assert one.realisation is not None
        record = add_signatures(record, *one.realisation.signatures)
    cache, warn = run.cache, run.reporter.warn
    signer = Signer((), run.trust)  # only the workers sign
    found = cache.writer.add_realisation(record, signer, lambda what, why: warn(f"{what} is replaced: {why}"))
    if found != record.path:
        raise CacheError(
            f"{cache.name} has {found} for {name}, and {len(agreeing)} workers built {record.path}",
            hint="`vstore cache verify` checks the cache; whoever signed that record is not to be trusted",
        )
    for one in others:
        assert one.realisation is not None
        warn(
            f"worker {one.worker} on {one.host}, key {one.key}, built {one.realisation.path}; "
            f"{len(agreeing)} others built {record.path}",
            "remove its key from trusted_keys until the reason is known",
        )


def failure_of(answer: ClusterAnswer) -> VstoreError:
    """Return the error of an answer, which also names the worker."""
    error = answer.outcome.failure
    assert error is not None
    details = (*error.details, f"on worker {answer.worker} ({answer.host})")
    return type(error)(error.message, details=details, hint=error.hint)


def untrusted_error(name: str, answer: ClusterAnswer, config: Path) -> CacheError:
    """Return the error of an answer without a signature that the settings in `config` trust."""
    return CacheError(
        f"{name}: worker {answer.worker} on {answer.host} signs with a key that this store does not trust:"
        f" {answer.key}",
        hint=f"to trust it, add the key to `trusted_keys` in {config}",
    )


def disagreement_error(name: str, answers: Mapping[str, ClusterAnswer]) -> ClusterError:
    """Return the error of a node for which no object has enough keys. `answers` are by key."""
    return ClusterError(
        f"the workers disagree about {name}, and there is no further key to ask",
        details=[
            f"key {key}: {one.outcome.result().path}, built by worker {one.worker} on {one.host}"
            for key, one in answers.items()
        ],
        hint="start a worker with another key: the object that most of them build counts",
    )
