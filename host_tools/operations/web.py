"""Health, readiness and metrics of a worker over HTTP, on a thread of its own.

    /healthz   200 while the settling loop turns, else 503
    /readyz    200 while the broker serves every shard held (none held: standing by), else 503
    /metrics   Prometheus

Only reads; no secret and no customer's name is on any page, so it has no login. It listens on
this machine only unless told otherwise.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from socketserver import TCPServer
from typing import Any

from host_tools import Refused
from host_tools.clock import Clock
from host_tools.config import StoreAddress
from host_tools.operations import figures, metrics
from host_tools.settlement.counters import Counters
from host_tools.store.sql import FAILURES

TURN_MS_MAX = 60000  # the store may be locked for 10 s, and a broker's connection tried for 5
SERVED_MAX = 8  # at a time; who comes beyond that is turned away
CLIENT_S_MAX = 5
JSON_TYPE = "application/json"

log = logging.getLogger(__name__)

Page = tuple[int, str, str]  # status, content type, body


class Pages:
    """What each path shows, from what the settling loop counts and the store has."""

    def __init__(self, counters: Counters, clock: Clock, store: StoreAddress) -> None:
        self._counters = counters
        self._clock = clock
        self._store = store

    def page(self, path: str) -> Page:
        pages: dict[str, Callable[[], Page]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._metrics,
        }
        make = pages.get(path.split("?", 1)[0])
        return make() if make else (404, "text/plain", "/healthz /readyz /metrics\n")

    def _turned_ms(self) -> int:
        return max(0, self._clock.ticks_ms() - self._counters.turned_ms)

    def _health(self) -> Page:
        age_ms = self._turned_ms()
        well = age_ms <= TURN_MS_MAX
        return _answer(well, {"healthy": well, "turn_age_ms": age_ms})

    def _readiness(self) -> Page:
        counters = self._counters
        ready = counters.connected and self._turned_ms() <= TURN_MS_MAX
        shards = list(counters.shards)
        return _answer(ready, {"ready": ready, "standby": not shards, "shards": shards})

    def _metrics(self) -> Page:
        try:
            found = figures.of_store(self._store)
        except FAILURES:
            found = None
        try:
            now_s = self._clock.now_s()
        except Refused:  # a simulated clock whose simulator has gone
            return 503, "text/plain", "no clock\n"
        shown = metrics.text(self._counters, found, now_s, self._clock.ticks_ms())
        return 200, metrics.CONTENT_TYPE, shown


def _answer(good: bool, shown: dict[str, object]) -> Page:
    return 200 if good else 503, JSON_TYPE, json.dumps(shown) + "\n"


class Server(ThreadingHTTPServer):
    """Serves on its threads from `begin` to `end`. Refused when the address is not to be had."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._places = threading.BoundedSemaphore(SERVED_MAX)
        self._thread = threading.Thread(target=self.serve_forever, name="http", daemon=True)

        class Handler(_Handler):
            page = staticmethod(pages.page)

        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise Refused(
                f"http {host}:{port}: {error.strerror}; stop what uses it, or name another"
                " host or port under [http]"
            ) from error

    def server_bind(self) -> None:
        """Without the look-up of our own name, which waits for a name server that is not there."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A client that went away in mid-answer is nobody's fault."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("no answer to %s", client_address)


class _Handler(BaseHTTPRequestHandler):
    page: Callable[[str], Page]
    timeout = CLIENT_S_MAX
    server_version = "gridpurse"
    sys_version = ""
    # What the library itself refuses is no page of HTML either.
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain"

    def do_GET(self) -> None:
        self._send(*self.page(self.path))

    def do_POST(self) -> None:
        self._send(405, "text/plain", "GET and HEAD only\n", ("Allow", "GET, HEAD"))

    def _send(self, status: int, kind: str, body: str, *more: tuple[str, str]) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in more:
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET
    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Silence on success; scrapes come every few seconds."""
