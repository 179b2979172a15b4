"""References to images, such as ``ghcr.io/team/app:1.2``, by the grammar of the distribution project.

https://github.com/distribution/reference/blob/v0.6.0/reference.go
"""

from __future__ import annotations

import re
from typing import Self

from vstore.credentials import HIDDEN
from vstore.errors import UsageError
from vstore.oci.model import Sha256
from vstore.values import frozen

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MAX_NAME = 255  # characters of host and repository
_DOCKER_HUB, _DOCKER_HUB_API = "docker.io", "registry-1.docker.io"


@frozen
class Reference:
    """A repository of a registry, and a tag or a digest in it, or both: the digest then decides."""

    host: str  # with the port, if there is one
    repository: str
    tag: str | None = None
    digest: Sha256 | None = None

    def __post_init__(self) -> None:
        if (
            not _HOST.fullmatch(self.host)
            or not _REPOSITORY.fullmatch(self.repository)
            or len(self.name) > _MAX_NAME
            or (self.tag is not None and not _TAG.fullmatch(self.tag))
        ):
            raise ValueError(f"not an image reference: {self}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``host[:port]/repository[:tag][@sha256:…]``. Raises UsageError; short names have no host."""
        rest, at, digest = text.partition("@")
        if at and not digest.startswith("sha256:"):
            text = f"{HIDDEN}@{digest}"  # may be a login
        host, slash, rest = rest.partition("/")
        if not slash or not _is_host(host):
            raise UsageError(f"not an image reference: {text}", hint=_missing_part(text))
        repository, colon, tag = rest.partition(":")
        if host == _DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        try:
            return cls(
                host=host,
                repository=repository,
                tag=tag if colon else None,
                digest=Sha256.parse(digest) if at else None,
            )
        except ValueError:
            hint = "the form is host/repository:tag or host/repository@sha256:…, the repository in lower case"
            if "://" in text:
                hint = f"leave out `{text.partition('://')[0]}://`"
            raise UsageError(f"not an image reference: {text}", hint=hint) from None

    @property
    def name(self) -> str:
        """The host and the repository."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """The digest, else the tag, else ``latest``: the name of the manifest in its repository."""
        return str(self.digest) if self.digest else self.tag or "latest"

    @property
    def api_host(self) -> str:
        """The host that answers requests: Docker Hub has another one than its name."""
        return _DOCKER_HUB_API if self.host == _DOCKER_HUB else self.host

    def __str__(self) -> str:
        return f"{self.name}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"


def names_registry(text: str) -> bool:
    """Return whether a text without a scheme begins with the host of a registry: it has a dot or a port."""
    host, slash, _ = text.partition("/")
    return bool(slash) and _is_host(host) and _HOST.fullmatch(host) is not None


def _is_host(part: str) -> bool:
    return "." in part or ":" in part or part == "localhost"


def _missing_part(text: str) -> str:
    name = text.partition(":")[0]
    if "/" not in text and ("." in name or name == "localhost"):
        return f"name a repository of the registry, such as {text}/team/app"
    return f"begin with the host of the registry, such as docker.io/library/{text}"
