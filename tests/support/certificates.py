"""An authority of a test's own, and a certificate for 127.0.0.1 that it has signed."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SIGNS_ONLY = x509.KeyUsage(*[False] * 5, True, *[False] * 3)


def make_authority(directory: Path, name: str) -> Path:
    """Writes `name`.pem, the authority's certificate, server.pem and server.key; gives the first's
    path."""
    own, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    key_id = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
    authority = [x509.BasicConstraints(True, None), SIGNS_ONLY, key_id]
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    path = directory / f"{name}.pem"
    path.write_bytes(_certificate(name, own.public_key(), name, own, *authority))
    served = _certificate("server", server.public_key(), name, own, address, issuer)
    (directory / "server.pem").write_bytes(served)
    private = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "server.key").touch(0o600)
    (directory / "server.key").write_bytes(private)
    return path


def _certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(subject), public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
