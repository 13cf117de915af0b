"""The host: what the module sends is settled, paid and billed here. CPython 3.11 and later."""


class Refused(Exception):
    """What a person asked or wrote cannot be done; the text is one line that names the remedy."""

    exit_code = 2
