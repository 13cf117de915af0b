"""Places on a network as settings name them: `host:port`, or several with commas.

A remedy in one line names the setting. Resolves nothing.
"""

from protocol.units import BAD_FIELD, Malformed


def all_of(name: str, text: str) -> "tuple[tuple[str, int], ...]":
    """((host, port), ...); nothing out of an empty text."""
    return tuple([one_of(name, item.strip()) for item in text.split(",")]) if text else ()


def one_of(name: str, text: str, port: int = 0) -> tuple[str, int]:
    """(host, port); `port` is that of a text without one, 0 where it must have one."""
    host, colon, digits = text.rpartition(":")
    if port and not colon:
        return text, port
    number = 0
    if host and ":" not in host and " " not in host and len(digits) <= 5:
        number = int(digits) if digits and not digits.strip("0123456789") else 0
    if not 0 < number < 65536:
        raise Malformed(BAD_FIELD, name + ": must be host:port, with a port from 1 to 65535")
    return host, number
