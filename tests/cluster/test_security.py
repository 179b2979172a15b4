"""TLS files, and the addresses that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.certificates import Authority
from vstore.cluster.address import SchedulerAddress
from vstore.cluster.security import TlsFiles, security_for
from vstore.config import ClusterConfig
from vstore.errors import UsageError

NOTHING = ClusterConfig()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return Authority(tmp_path_factory.mktemp("authority")).issue("machine")


def test_files_are_given_else_in_the_environment_else_configured(files: TlsFiles, tmp_path: Path) -> None:
    assert TlsFiles.find({}, {}, NOTHING) is None
    config = ClusterConfig(tls_ca=str(files.ca), tls_cert=str(files.cert), tls_key=str(tmp_path / "missing"))
    with pytest.raises(UsageError, match=r"cannot be read: .*missing"):
        TlsFiles.find({}, {}, config)
    assert TlsFiles.find({}, {"VSTORE_TLS_KEY": str(files.key)}, config) == files
    assert TlsFiles.find({"key": files.key}, {"VSTORE_TLS_KEY": "/nowhere"}, config) == files
    with pytest.raises(UsageError) as raised:
        TlsFiles.find({"ca": files.ca}, {}, NOTHING)
    assert raised.value.hint == "also give --tls-cert, --tls-key"


def test_files_that_do_not_fit_are_refused(files: TlsFiles, tmp_path: Path) -> None:
    other = Authority(tmp_path).issue("other")
    with pytest.raises(UsageError, match="no certificate and its private key"):
        TlsFiles.find({"ca": files.ca, "cert": files.cert, "key": other.key}, {}, NOTHING)
    (tmp_path / "text").write_text("text")
    with pytest.raises(UsageError, match="not certificates in PEM format"):
        TlsFiles.find({"ca": tmp_path / "text", "cert": files.cert, "key": files.key}, {}, NOTHING)


def test_an_address_for_other_machines_is_encrypted(files: TlsFiles) -> None:
    outside, encrypted = SchedulerAddress(url="tcp://10.0.0.1:1"), SchedulerAddress(url="tls://10.0.0.1:1")
    with pytest.raises(UsageError) as raised:
        security_for(outside, files)
    assert "--insecure" in str(raised.value.hint)
    assert security_for(outside, None, insecure=True) is None
    assert security_for(SchedulerAddress(url="tcp://127.0.0.1:1"), None) is None
    with pytest.raises(UsageError, match="needs TLS files"):
        security_for(encrypted, None, insecure=True)
    security = security_for(encrypted, files)
    assert security is not None and security.require_encryption
