"""TLS towards brokers: trusts only whom the named CA has signed, under the name we asked for."""

import ssl
from pathlib import Path

from host_tools import Refused


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A client's context for the CA certificates of a PEM file; Refused in one line."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate and checks its name
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an ssl.SSLError is one
        raise Refused(f"{ca_file}: the broker's CA cannot be read: {error}") from error
    return context
