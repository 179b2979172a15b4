"""Open a repository of a registry for an image, with the options that config.toml has for its registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from vstore.cancel import CancelToken
from vstore.config import CacheConfig
from vstore.oci import Reference
from vstore.remote.transport.protocol import PATIENT
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import open_transport
from vstore.reporter import Detail, NullReporter, Reporter


def open_repository(
    reference: Reference,
    known: Iterable[CacheConfig] = (),
    *,
    mount_from: Sequence[str] = (),
    cancel: CancelToken | None = None,
    reporter: Reporter | None = None,
) -> RetryingTransport:
    """Return the transport for the repository of an image, without a request.

    Its options are those of a known cache in the same repository, else in the same registry. Blobs that the
    repositories `mount_from` of the same registry have are taken from there. Raises UsageError.
    """
    places = (f"oci://{reference.name}/", f"oci://{reference.host}/")
    alike = [one for place in places for one in known if f"{one.url.rstrip('/')}/".startswith(place)]
    options = {**(alike[0].options if alike else {}), **({"mount_from": ",".join(mount_from)} if mount_from else {})}
    cancel = cancel or CancelToken()
    transport = open_transport(f"oci://{reference.name}", options, limits=PATIENT, cancel=cancel)
    detail = partial((reporter or NullReporter()).detail, kind=Detail.CALL)
    return RetryingTransport(transport, PATIENT, sleep=cancel.wait, on_request=detail)
