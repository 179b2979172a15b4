"""Servers for all tests of transports: each is started when it is first needed, and serves them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from scripts.testing.registries import LocalRegistry, docker_registry
from tests.remote.buckets import SERVERS, Bucket


@pytest.fixture(scope="package")
def bucket_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Bucket]]:
    """A bucket of each server that is asked for."""
    with ExitStack() as stack:

        @cache
        def bucket(server: str) -> Bucket:
            return stack.enter_context(SERVERS[server](tmp_path_factory.mktemp(server)))

        yield bucket


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """Debian's docker-registry, open to all."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as one:
        yield one
