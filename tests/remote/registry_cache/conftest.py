"""One registry for the tests of a module, and a cache in a repository of its own for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from scripts.testing.registries import LocalRegistry, docker_registry
from vstore.remote.registry_cache.repository import RecordRepository
from vstore.remote.transport.protocol import RepositoryTransport, in_registry
from vstore.remote.transport.schemes import open_transport


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def url(registry: LocalRegistry, request: pytest.FixtureRequest) -> str:
    return registry.url(f"team/{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')}")


@pytest.fixture
def transport(url: str) -> RepositoryTransport:
    return in_registry(open_transport(url))


@pytest.fixture
def repository(transport: RepositoryTransport) -> RecordRepository:
    return RecordRepository(transport, "the cache")
