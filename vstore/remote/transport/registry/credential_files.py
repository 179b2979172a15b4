"""The logins that docker and podman keep: their credential files, and the helpers that these name.

containers-auth.json(5); https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vstore.digest import parse_json
from vstore.fs.reading import read_regular
from vstore.oci import Reference
from vstore.remote.transport.protocol import TransportError
from vstore.values import frozen

_MAX_BYTES = 1 << 20
_HELPER_SECONDS = 60.0
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ADDRESS = re.compile(r"(?:https?://)?(.*?)(?:/v[12])?/?")
_DOCKER_HUB = "https://index.docker.io/v1/"  # docker's name of docker.io
_IDENTITY = "<token>"  # a helper's user name for an identity token


@frozen
class RegistryCredential:
    """A user with a password, or an identity token, from which a token server makes others."""

    user: str
    password: str
    identity_token: str | None = None

    def __repr__(self) -> str:
        return f"RegistryCredential({self.user!r})"


def stored_credential(reference: Reference, environment: Mapping[str, str]) -> RegistryCredential | None:
    """Return the login for a repository from the first file that has one; None if none has.

    The files are those of `credential_files`. Raises TransportError for a file or a helper that fails, without its
    content.
    """
    for file, document in _documents(environment):
        with _named(file):
            program = _helper(document, reference)
            found = (_ask(program, reference) if program else None) or _kept(document, reference)
        if found is not None:
            return found
    return None


def check_credential_files(reference: Reference, environment: Mapping[str, str]) -> None:
    """Raise TransportError if a file cannot be used for a repository, or names a helper that is missing.

    No helper is run.
    """
    for file, document in _documents(environment):
        with _named(file):
            if (program := _helper(document, reference)) and shutil.which(program) is None:
                raise _missing(program)
            _kept(document, reference)


def _documents(environment: Mapping[str, str]) -> Iterator[tuple[Path, Mapping[str, object]]]:
    for file in credential_files(environment):
        try:
            document = parse_json(read_regular(file, limit=_MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not JSON"
            raise TransportError(f"the credential file cannot be read: {file}: {reason}") from None
        yield file, document


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Raise TransportError for a malformed file, without its content."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TransportError(f"the credential file is malformed: {file}") from None


def credential_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the places of podman's and docker's credential files, in the order in which they are read."""
    if place := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(place)
    if place := environment.get("XDG_RUNTIME_DIR"):
        yield Path(place, "containers", "auth.json")
    home = environment.get("HOME") or environment.get("USERPROFILE")
    if place := environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""):
        yield Path(place, "containers", "auth.json")
    if place := environment.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else ""):
        yield Path(place, "config.json")


def _helper(document: Mapping[str, object], reference: Reference) -> str | None:
    """Return the program that a file names for a repository."""
    helpers = document.get("credHelpers") or {}
    if not isinstance(helpers, dict):
        raise ValueError("not a table")
    found = next((helpers[name] for name in _names(reference) if name in helpers), document.get("credsStore"))
    if found and not _HELPER.fullmatch(str(found)):
        raise ValueError("not the name of a helper")
    return f"docker-credential-{found}" if found else None


def _kept(document: Mapping[str, object], reference: Reference) -> RegistryCredential | None:
    """Return the login in a file itself."""
    logins = document.get("auths") or {}
    if not isinstance(logins, dict):
        raise ValueError("not a table")
    by_name = {_plain(address): login for address, login in logins.items()}
    found = (_login(by_name[name]) for name in _names(reference) if by_name.get(name))
    return next((login for login in found if login is not None), None)


def _names(reference: Reference) -> list[str]:
    """Return the names under which a login may be kept, the most special one first."""
    parts = reference.name.split("/")
    names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [*names, _plain(_DOCKER_HUB)] if reference.host != reference.api_host else names


def _plain(address: str) -> str:
    found = _ADDRESS.fullmatch(address)
    return found[1] if found else address


def _login(entry: Mapping[str, str]) -> RegistryCredential | None:
    user, password = entry.get("username", ""), entry.get("password", "")
    if text := entry.get("auth"):
        user, _, password = b64decode(text, validate=True).decode().partition(":")
    token = entry.get("identitytoken") or None
    if not user and not token:
        return None
    return RegistryCredential(user=user, password=password.rstrip("\0"), identity_token=token)


def _ask(program: str, reference: Reference) -> RegistryCredential | None:
    """Return the answer of a credential helper; None if it has no login for the registry."""
    address = _DOCKER_HUB if reference.host != reference.api_host else reference.host
    try:
        done = subprocess.run(
            [program, "get"], input=address.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        raise _missing(program) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer within {_HELPER_SECONDS:g} seconds"
        raise TransportError(f"the credential helper fails: {program}: {reason}") from None
    if b"credentials not found" in done.stdout:
        return None
    if done.returncode != 0:
        raise TransportError(f"the credential helper fails with exit code {done.returncode}: {program}")
    try:
        answer = parse_json(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise TransportError(f"the credential helper gives no login: {program}") from None
    if user == _IDENTITY:
        return RegistryCredential(user="", password="", identity_token=secret)
    return RegistryCredential(user=user, password=secret)


def _missing(program: str) -> TransportError:
    return TransportError(f"the credential helper is not on PATH: {program}")
