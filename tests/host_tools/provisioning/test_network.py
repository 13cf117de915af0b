"""What a module's attempt to log in means: each answer leads to the remedy of its own cause."""

from types import SimpleNamespace

import pytest

from host_tools.config import BrokerAddress
from host_tools.faults import Fault
from host_tools.provisioning import network

LOGIN = BrokerAddress("broker.example", 8883, "gp-1", "secret")


class Said:
    """A console whose program says this."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, program: str, within_s: int = 0) -> str:
        return self.text


@pytest.mark.parametrize(
    ("text", "tls", "kind"),
    [
        ("broker 5", 0, "LOGIN"),
        ("broker 4", 1, "LOGIN"),
        ("refused login EOFError 0", 0, "LOGIN"),
        ("refused login EOFError 0", 1, "CERTIFICATE"),
        ("refused certificate OSError 2", 1, "CERTIFICATE"),
        ("refused connect ValueError 0", 1, "CERTIFICATE"),
        ("refused connect TimeoutError 0", 0, "BROKER"),
        ("refused connect OSError 113", 0, "BROKER"),
        # MicroPython connects in the background: the first write finds that nobody listens.
        ("refused login OSError 111", 0, "BROKER"),
        ("refused login OSError 111", 1, "BROKER"),
        ("", 0, "BROKER"),
    ],
)
def test_each_way_not_to_get_in_has_its_own_remedy(text: str, tls: int, kind: str) -> None:
    with pytest.raises(Fault) as told:
        network.reach(Said(text), SimpleNamespace(tls=tls), LOGIN)
    assert told.value.kind is getattr(network, kind)
    assert LOGIN.where in str(told.value) and LOGIN.password not in str(told.value)


def test_a_broker_that_takes_the_login_is_named() -> None:
    where = network.reach(Said("broker 0"), SimpleNamespace(tls=0), LOGIN)
    assert where == "broker.example:8883"
