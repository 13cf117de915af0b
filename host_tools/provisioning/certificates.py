"""The CA a module trusts, and a certificate of its own where the broker asks for one.

Reads PEM, gives DER: a module takes nothing else. ECDSA P-256. The module's private key is made
here, goes to the module and is kept nowhere.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from host_tools.provisioning.faults import CERTIFICATE, HOST_CLOCK

DAYS = 3650
_BEFORE = datetime.timedelta(days=1)  # a module's clock may be a little behind


def authority(path: Path, now_s: int) -> x509.Certificate:
    """The CA of a PEM file, in force now. Fault when it is not, or is no CA."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CERTIFICATE.seen(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CERTIFICATE.seen(f"{path}: not a PEM certificate 不是 PEM 证书") from error
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    if now > found.not_valid_after_utc:
        raise CERTIFICATE.seen(
            f"{path}: expired on {found.not_valid_after_utc:%Y-%m-%d} 证书已过期"
        )
    if now < found.not_valid_before_utc:
        raise HOST_CLOCK.seen(
            f"{path}: begins on {found.not_valid_before_utc:%Y-%m-%d}, and this computer says"
            f" {now:%Y-%m-%d} 证书尚未生效，或本机时钟有误",
        )
    try:
        basic = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = x509.BasicConstraints(ca=False, path_length=None)
    if not basic.ca:
        raise CERTIFICATE.seen(f"{path}: not the certificate of a CA 不是 CA 证书")
    return found


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def issued(ca: x509.Certificate, key_path: Path, module: str, now_s: int) -> dict[str, bytes]:
    """The module's own files: certificate and private key."""
    try:
        ca_key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except OSError as error:
        raise CERTIFICATE.seen(f"{key_path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise CERTIFICATE.seen(
            f"{key_path}: not a PEM key without a password 不是无口令的 PEM 私钥"
        ) from error
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or (
        ca_key.public_key() != ca.public_key()
    ):
        raise CERTIFICATE.seen(f"{key_path}: not the EC key of that CA 与 CA 证书不符")
    own = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    ends = min(now + datetime.timedelta(days=DAYS), ca.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, module)]))
        .issuer_name(ca.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _BEFORE, ca.not_valid_before_utc))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(module)]), critical=False)
    )
    certificate = builder.sign(ca_key, hashes.SHA256())
    private = own.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return {"cert.der": der(certificate), "tls.key": private}
