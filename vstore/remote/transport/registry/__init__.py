"""The transport for repositories of OCI registries, and the logins of registries."""

from vstore.remote.transport.registry.credential_files import check_credential_files
from vstore.remote.transport.registry.transport import RegistryRefusalError, RegistryTransport

__all__ = ["RegistryRefusalError", "RegistryTransport", "check_credential_files"]
