"""Statements of builders: those that are kept with an object, as the signatures of its record in a cache have them."""

from __future__ import annotations

from vstore.remote.records.model import ObjectRecord, Signature
from vstore.remote.records.trust import Trust
from vstore.store import BuildStatement
from vstore.store.manifests import ManifestMetadata, builds_of
from vstore.values import replace


def own_statement(metadata: ManifestMetadata) -> str:
    """Return how this store built an object; empty if it did not."""
    return next((one.text for one in builds_of(metadata) if one.key is None), "")


def signatures_of_builders(metadata: ManifestMetadata) -> list[Signature]:
    """Return the signatures of others that came with an object and state how they built it."""
    return [Signature(one.key, one.signature, one.text) for one in builds_of(metadata) if one.key and one.signature]


def trusted_statements(record: ObjectRecord, trust: Trust) -> tuple[BuildStatement, ...]:
    """Return the statements of a record that trusted keys signed."""
    return tuple(
        BuildStatement(one.statement, one.key, one.value)
        for one in record.signatures
        if one.statement and trust.signers(replace(record, signatures=(one,)))
    )
