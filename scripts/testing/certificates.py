"""An authority that issues certificates to the machines of a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from vstore.cluster.security import TlsFiles


class Authority:
    """Its files and those that it issues are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        (folder / "ca.pem").write_bytes(self._certificate("authority", self._key.public_key()))

    def issue(self, name: str) -> TlsFiles:
        """Issue a certificate for a machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(self._certificate(name, key.public_key()))
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return TlsFiles(ca=self._folder / "ca.pem", cert=cert, key=secret)

    def _certificate(self, name: str, key: ec.EllipticCurvePublicKey) -> bytes:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(_named("authority"), _named(name), key, x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
