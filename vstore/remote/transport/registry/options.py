"""The options of a cache in a registry, from ``config.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Self

from vstore.errors import UsageError
from vstore.oci import Reference
from vstore.values import frozen

_NAMES = ("username", "password", "plain_http", "mount_from", "redirects")


@frozen
class RegistryOptions:
    """The login, the way to the registry, and the repositories that blobs are taken from."""

    login: tuple[str, str] | None
    plain_http: bool
    mount_from: tuple[str, ...]
    uploads_anywhere: bool

    @classmethod
    def read(cls, options: Mapping[str, str], reference: Reference, url: str) -> Self:
        """Read the options. Raises UsageError."""
        if unknown := sorted(set(options) - set(_NAMES)):
            raise UsageError(f"a registry has no option `{unknown[0]}`: {url}", hint=f"options: {', '.join(_NAMES)}")
        user, password = options.get("username"), options.get("password")
        if (user is None) != (password is None):
            raise UsageError(f"the options `username` and `password` belong together: {url}")
        plain = options.get("plain_http")
        if plain not in (None, "true", "false"):
            raise UsageError(f'the option `plain_http` is "true" or "false": {url}')
        sources = tuple(part.strip() for part in options.get("mount_from", "").split(",") if part.strip())
        for source in sources:
            try:
                Reference(host=reference.host, repository=source)
            except ValueError:
                hint = "give names without the host, such as team/base"
                raise UsageError(
                    f"the option `mount_from` names repositories of the same registry: {url}", hint=hint
                ) from None
        return cls(
            login=None if user is None or password is None else (user, password),
            plain_http=_is_loopback(reference.host) if plain is None else plain == "true",
            mount_from=tuple(source for source in sources if source != reference.repository),
            uploads_anywhere=options.get("redirects") == "anywhere",
        )


def _is_loopback(host: str) -> bool:
    """Return whether a host with an optional port is this machine."""
    name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
