"""The audit of dependencies, against a service that speaks as osv.dev does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests import audit


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results = [
            {"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]} if one["version"] == "0.1" else {}
            for one in asked
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service():
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_vulnerable_release_is_named_with_its_advisories(service):
    lines = audit.known([("good", "1.0"), ("bad", "0.1")], service)
    assert lines == ["audit: bad 0.1: GHSA-1, PYSEC-2; pin a release without them"]


def test_every_pinned_release_is_asked_for(service):
    releases = audit.installed()
    assert "paho-mqtt" in dict(releases)
    assert audit.known(releases, service) == []


def test_a_service_that_does_not_answer_is_no_answer():
    with pytest.raises(OSError):
        audit.known([("good", "1.0")], "http://127.0.0.1:9/")
