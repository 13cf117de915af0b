"""paho towards a configured broker: who we are there, and TLS where it is configured.

paho leaves a socket open whose handshake failed; this one does not.
"""

from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from host_tools import tls
from host_tools.config import BrokerAddress


class MqttClient(paho.Client):
    """`connect` and `connect_async` still say where; `_create_socket` is the one private name of
    paho that we rely on."""

    def __init__(self, broker: BrokerAddress, client_id: str, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id, **options)
        self._trusted = None if broker.ca_file is None else tls.trusting(broker.ca_file)
        if broker.user:
            self.username_pw_set(broker.user, broker.password)

    def _create_socket(self) -> Any:
        plain: Any = super()._create_socket()
        if self._trusted is None:
            return plain
        return self._trusted.wrap_socket(plain, server_hostname=self.host)  # closes it on failure
