"""TLS between the machines of a cluster. Whoever reaches a scheduler can run code on its workers."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vstore.cluster.address import SchedulerAddress
from vstore.config.model import ClusterConfig
from vstore.errors import UsageError
from vstore.values import frozen

if TYPE_CHECKING:
    from distributed import Security

VARIABLES = {"ca": "VSTORE_TLS_CA", "cert": "VSTORE_TLS_CERT", "key": "VSTORE_TLS_KEY"}


@frozen
class TlsFiles:
    """The files of one machine: the certificate authority of the cluster, its certificate, and its private key."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def find(
        cls,
        given: Mapping[str, Path | None],
        environment: Mapping[str, str],
        config: ClusterConfig,
    ) -> Self | None:
        """Return the files, each `given` (``ca``, ``cert``, ``key``), else from the environment, else configured.

        None if there is not one of them. Raises UsageError if only some are known, or one of them cannot be used.
        """
        configured = {"ca": config.tls_ca, "cert": config.tls_cert, "key": config.tls_key}
        found = {
            name: given.get(name) or environment.get(variable) or configured[name]
            for name, variable in VARIABLES.items()
        }
        if not any(found.values()):
            return None
        files = {name: Path(place) for name, place in found.items() if place}
        if missing := [name for name in VARIABLES if name not in files]:
            options = ", ".join(f"--tls-{name}" for name in missing)
            raise UsageError(f"TLS takes three files, and {len(missing)} are missing", hint=f"also give {options}")
        made = cls(**files)
        made.check()
        return made

    def check(self) -> None:
        """Raise UsageError unless the files can be read and the key belongs to the certificate."""
        for file in (self.ca, self.cert, self.key):
            try:
                file.read_bytes()
            except OSError as error:
                raise UsageError(f"TLS file cannot be read: {file}: {error.strerror}") from error
        try:
            ssl.create_default_context(cafile=str(self.ca))
        except ssl.SSLError as error:
            raise UsageError(f"not certificates in PEM format: {self.ca}") from error
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(self.cert, self.key)
        except ssl.SSLError as error:
            raise UsageError(f"{self.cert} and {self.key} are no certificate and its private key") from error


def security_for(address: SchedulerAddress, files: TlsFiles | None, *, insecure: bool = False) -> Security | None:
    """Return the settings of Dask for connections to this address, None without TLS.

    Raises UsageError if the address needs TLS files and there are none, or if it is neither encrypted nor on this
    machine alone, unless `insecure`.
    """
    if not address.is_encrypted:
        if not address.is_loopback and not insecure:
            raise UsageError(
                f"{address.url} is reachable from other machines and is not encrypted",
                hint="use tls:// with --tls-ca, --tls-cert and --tls-key; --insecure lets everybody who reaches it"
                " run code on the workers",
            )
        return None
    if files is None:
        raise UsageError(
            f"{address.url} needs TLS files", hint="give --tls-ca, --tls-cert and --tls-key, or set them in config.toml"
        )
    from distributed import Security

    own = {"cert": str(files.cert), "key": str(files.key)}
    roles = {f"tls_{role}_{part}": own[part] for role in ("client", "scheduler", "worker") for part in own}
    return Security(tls_ca_file=str(files.ca), require_encryption=True, **roles)  # type: ignore[no-untyped-call]
