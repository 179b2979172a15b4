"""Debian's docker-registry for the tests: on loopback, with storage of its own, ended with the test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.testing.servers import free_port, running
from vstore.values import frozen

DOCKER_REGISTRY = shutil.which("docker-registry")
USER, PASSWORD = "anna", "s3cret/of+anna"
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuuw23JuKCkU0hd8MTnzn7.Kx3qVQc0TQ.\n"  # that password, with bcrypt


@frozen
class LocalRegistry:
    """A running registry: its host with the port, and the folder of its storage."""

    host: str
    storage: Path

    def url(self, repository: str) -> str:
        """Return the URL of a repository."""
        return f"oci://{self.host}/{repository}"


@contextmanager
def docker_registry(
    place: Path,
    *,
    auth: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    deletes: bool = True,
) -> Iterator[LocalRegistry]:
    """Yield a registry with this `auth` section in its configuration. Without `deletes` it refuses to delete."""
    if DOCKER_REGISTRY is None:
        pytest.skip("docker-registry is not installed")
    place.mkdir(parents=True, exist_ok=True)
    port, storage = free_port(), place / "storage"
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": deletes},
        },
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of the tests"},
    }
    if auth:
        config["auth"] = auth
    (place / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (place / "log").open("ab") as log:
        command = [DOCKER_REGISTRY, "serve", str(place / "config.yml")]
        with running(command, port, stdout=log, stderr=log, env=dict(environment) if environment else None):
            yield LocalRegistry(host=f"127.0.0.1:{port}", storage=storage)


@contextmanager
def registry_with_passwords(place: Path) -> Iterator[LocalRegistry]:
    """Yield a registry that only lets `USER` in, with `PASSWORD`."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "htpasswd").write_text(_HTPASSWD)
    with docker_registry(place, auth={"htpasswd": {"realm": "tests", "path": str(place / "htpasswd")}}) as registry:
        yield registry


def collect_registry(place: Path) -> None:
    """Delete the blobs that no manifest names, as an administrator does while the registry of `place` is stopped."""
    import subprocess

    assert DOCKER_REGISTRY is not None
    subprocess.run(
        [DOCKER_REGISTRY, "garbage-collect", str(place / "config.yml")], check=True, capture_output=True, timeout=120
    )
