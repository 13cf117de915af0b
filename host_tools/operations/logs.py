"""The service's log on standard error: lines for a person, or one JSON object a line.

Both have the same records. What a record carries besides its text (`extra`) is in the JSON only.
"""

import json
import logging
import time
from typing import TextIO

from host_tools.config import JSON

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """time (UTC), level, logger, message, then what the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        whole_s, ms = int(record.created), int(record.msecs)
        shown: dict[str, object] = {
            "time": time.strftime(f"%Y-%m-%dT%H:%M:%S.{ms:03d}Z", time.gmtime(whole_s)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        shown |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            shown["trace"] = self.formatException(record.exc_info)
        return json.dumps(shown, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """One line a record: what a message carries cannot begin another one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line)


def begin(form: str, stream: TextIO) -> None:
    """From now on everything logged goes there, in this form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == JSON else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
