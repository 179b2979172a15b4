"""The messages of a cluster as JSON text: the task to realise a node, its answer, and the task to sign a channel.

Only these texts cross from one machine to another, and the objects that caches hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Self

from vstore.digest import Digest, canonical_json, hash_json, parse_json
from vstore.documents import Fields
from vstore.errors import BuildError, CacheError, UsageError, VstoreError
from vstore.objects import StorePath
from vstore.realise.execute.messages import NodeOutcome, NodeTask
from vstore.remote import Channel
from vstore.remote.records.encoding import decode_channel, decode_realisation, encode
from vstore.remote.records.model import Realisation
from vstore.values import frozen

PROTOCOL = 1  # to be raised whenever an older worker would misread a task, or an older client an answer


@frozen(slots=False)
class ClusterTask:
    """A node to realise and to push to the cache with this URL.

    With a `signer` the worker builds the node itself, signs with its key of this name, and leaves the realisation to
    the client; without one it substitutes where it can, and pushes the realisation too. `attempt` counts the attempts
    before it. `wheels` are source objects, each a folder with one local wheel, by the SHA-256 of the wheel.
    """

    work: NodeTask
    cache: str
    signer: str | None = None
    attempt: int = 0
    wheels: Mapping[str, StorePath] = {}

    @property
    def key(self) -> str:
        """The key of the task in Dask: equal for all clients that want the same work. It begins with the node's name.

        The URLs of the node's files are not in it, because their digests are in the node.
        """
        recipe = self.work.node.recipe
        same = [PROTOCOL, str(recipe.key), self.cache, self.signer, self.attempt]
        return f"{recipe.name}-{hash_json('cluster task 1', same).raw.hex()[:32]}"

    def encode(self) -> str:
        """Return the task as JSON text."""
        document = {
            "protocol": PROTOCOL,
            "work": self.work.encode(),
            "cache": self.cache,
            "signer": self.signer,
            "attempt": self.attempt,
            "wheels": {sha256: str(path) for sha256, path in self.wheels.items()},
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str, objects: Mapping[StorePath, StorePath] | None = None) -> Self:
        """Parse a task. `objects` are further known objects of the node's dependencies, by node key.

        Raises UsageError if it is malformed, or of another release.
        """
        try:
            fields = Fields(parse_json(text.encode()))
            _check_protocol(fields.integer("protocol"), "the task")
            return cls(
                work=NodeTask.parse(fields.text("work"), objects),
                cache=fields.text("cache"),
                signer=fields.optional_text("signer"),
                attempt=fields.integer("attempt"),
                wheels={one: StorePath.parse(path) for one, path in fields.texts_by_key("wheels").items()},
            )
        except ValueError as error:
            raise UsageError(f"not a task of a cluster: {error}") from error


class AnswerState(StrEnum):
    """The result of a task."""

    DONE = "done"
    FAILED = "failed"  # another worker would fail too
    UNAVAILABLE = "unavailable"  # the cache or the worker failed, another worker may succeed
    SKIPPED = "skipped"  # a node below is not done
    DISAGREED = "disagreed"  # the workers of a node below gave different objects


@frozen
class ClusterAnswer:
    """The outcome of a task, and the worker that gave it.

    `realisation` is the record of the object, with the signature of the worker's key; `key` is the public half,
    ``name:base64``. Both are None unless the state is `DONE`. `requests` counts those to the cache.
    """

    state: AnswerState
    outcome: NodeOutcome
    worker: str
    host: str
    key: str | None = None
    realisation: Realisation | None = None
    pushed_bytes: int = 0
    fetched_bytes: int = 0
    requests: int = 0

    def encode(self) -> str:
        """Return the answer as JSON text."""
        document = {
            "protocol": PROTOCOL,
            "state": str(self.state),
            "outcome": self.outcome.encode(),
            "worker": self.worker,
            "host": self.host,
            "key": self.key,
            "realisation": encode(self.realisation).decode() if self.realisation else None,
            "pushed_bytes": self.pushed_bytes,
            "fetched_bytes": self.fetched_bytes,
            "requests": self.requests,
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an answer. Raises UsageError if it is malformed, or of another release."""
        try:
            fields = Fields(parse_json(text.encode()))
            _check_protocol(fields.integer("protocol"), "the answer")
            record = fields.optional_text("realisation")
            return cls(
                state=AnswerState(fields.text("state")),
                outcome=NodeOutcome.parse(fields.text("outcome")),
                worker=fields.text("worker"),
                host=fields.text("host"),
                key=fields.optional_text("key"),
                realisation=decode_realisation(record.encode(), "of an answer") if record else None,
                pushed_bytes=fields.integer("pushed_bytes"),
                fetched_bytes=fields.integer("fetched_bytes"),
                requests=fields.integer("requests"),
            )
        except (ValueError, CacheError) as error:
            raise UsageError(f"not an answer of a worker: {error}") from error


@frozen
class ChannelTask:
    """The record of a channel in the cache with this URL, to be signed with the key `signer`.

    `recipe` is that of the stack.
    """

    channel: Channel
    recipe: Digest
    cache: str
    signer: str

    def encode(self) -> str:
        """Return the task as JSON text."""
        document = {
            "protocol": PROTOCOL,
            "channel": encode(self.channel).decode(),
            "recipe": str(self.recipe),
            "cache": self.cache,
            "signer": self.signer,
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a task. Raises UsageError if it is malformed, or of another release."""
        try:
            fields = Fields(parse_json(text.encode()))
            _check_protocol(fields.integer("protocol"), "the task")
            return cls(
                channel=decode_channel(fields.text("channel").encode(), "of a task"),
                recipe=Digest.parse(fields.text("recipe")),
                cache=fields.text("cache"),
                signer=fields.text("signer"),
            )
        except (ValueError, CacheError) as error:
            raise UsageError(f"not a task of a cluster: {error}") from error


def refusal(below: Sequence[ClusterAnswer]) -> tuple[AnswerState, VstoreError] | None:
    """Return why a node cannot be realised over these answers, if so."""
    for one in below:
        if one.realisation is None:
            return AnswerState.SKIPPED, BuildError(f"not built: {one.outcome.key.name} below it is {one.state}")
    paths = {one.outcome.key: one.realisation.path for one in below if one.realisation}
    for one in below:
        if one.realisation and one.realisation.path != paths[one.outcome.key]:
            return AnswerState.DISAGREED, BuildError(
                f"not built: workers disagree on {one.outcome.key.name}: {one.realisation.path},"
                f" {paths[one.outcome.key]}"
            )
    return None


def _check_protocol(found: int, what: str) -> None:
    """Raise UsageError for a message of another release."""
    if found != PROTOCOL:
        raise UsageError(
            f"{what} has protocol {found}, and this vstore has {PROTOCOL}",
            hint="use one release of vstore on all machines of a cluster",
        )
