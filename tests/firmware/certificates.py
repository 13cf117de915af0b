"""Certificates for tests, DER as a module takes them and PEM as nats-server does. ECDSA P-256."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


class Issued:
    """A certificate and its key."""

    def __init__(self, certificate, key):
        self.certificate = certificate
        self.key = key

    def write(self, folder, name):
        """name.pem and name.key.pem -> their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}.key.pem"
        paths[0].write_bytes(self.certificate.public_bytes(PEM))
        paths[1].write_bytes(self._key(PEM))
        return paths

    def der(self):
        return self.certificate.public_bytes(DER)

    def key_der(self):
        return self._key(DER)

    def _key(self, encoding):
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())


def authority(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), -DAY, 3650 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(ca, name, *, begins=-DAY, ends=365 * DAY):
    """For the host name, or for the IPv4 address, valid from and to that long from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), ca.certificate.subject, key.public_key(), begins, ends)
    try:
        alternative = x509.IPAddress(ipaddress.IPv4Address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    names = x509.SubjectAlternativeName([alternative])
    builder = builder.add_extension(names, critical=False)
    return Issued(builder.sign(ca.key, hashes.SHA256()), key)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, public_key, begins, ends):
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(public_key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now + begins).not_valid_after(now + ends)
