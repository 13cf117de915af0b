"""The script that a user would write: paho's callbacks, cbor2, one commit a message.

It verifies and stores, but rates nothing and keeps no ledger. Settlement is held against it.
"""

import hashlib
import hmac
import sqlite3
import threading
from pathlib import Path

import cbor2
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tools.config import BrokerAddress
from host_tools.keys import KeyFiles
from protocol import cose

WAIT_S = 120


class Script:
    def __init__(self, broker: BrokerAddress, keys: KeyFiles, path: Path) -> None:
        self._broker = broker
        self._keys = keys
        self._secrets: dict[str, bytes] = {}
        self._store = sqlite3.connect(path, check_same_thread=False)
        self._store.execute("PRAGMA journal_mode = WAL")
        self._store.execute("PRAGMA synchronous = FULL")
        self._store.execute(
            "CREATE TABLE readings (module TEXT, seq INTEGER, energy_wh INTEGER,"
            " PRIMARY KEY (module, seq))"
        )
        self._got = 0
        self._wanted = 0
        self._subscribed = threading.Event()
        self._done = threading.Event()
        self._client = self._made()

    def _made(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, "naive", clean_session=False, manual_ack=True
        )
        client.username_pw_set(self._broker.user, self._broker.password)
        client.on_connect = lambda client, *_: client.subscribe("u/0/+", 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._came
        return client

    def connect(self) -> None:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        if not self._subscribed.wait(WAIT_S):
            raise RuntimeError("no broker")

    def pause(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def run(self, messages: int) -> None:
        self._wanted = messages
        self._client = self._made()
        self.connect()
        if not self._done.wait(WAIT_S):
            raise RuntimeError(f"only {self._got} of {messages} messages came")
        self.pause()

    def _came(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        module = message.topic.split("/")[2]
        secret = self._secrets.get(module)
        if secret is None:
            root = self._keys.load(module).reveal()
            secret = self._secrets[module] = cose.derive(root, cose.UP)
        protected, _, payload, tag = cbor2.loads(message.payload)
        signed = cbor2.dumps(["MAC0", protected, b"", payload])
        if not hmac.compare_digest(hmac.digest(secret, signed, hashlib.sha256)[:8], tag):
            return
        fields = cbor2.loads(payload)
        with self._store:
            for place, energy_wh in enumerate(fields[5]):
                row = (module, fields[3] + place, energy_wh)
                self._store.execute("INSERT OR IGNORE INTO readings VALUES (?, ?, ?)", row)
        client.ack(message.mid, message.qos)
        self._got += 1
        if self._got == self._wanted:
            self._done.set()
