"""A pull reader on the stream in which nats-server keeps the MQTT messages of QoS 1.

nats-server stores what modules publish in the JetStream stream `$MQTT_msgs` until every consumer
has acknowledged it. Each owner of a shard has a consumer of its own, named after its generation:
it starts where the one before it stopped, and that one is deleted, which shuts out an owner that
was overtaken. Within one consumer and connection messages come in order and without a gap, so
acknowledging the last one of a batch acknowledges all before it. After a broken connection we
cannot know what was lost on the way, and reset the consumer to its last acknowledgement; what we
had settled by then is skipped when it comes again.
We ask for no more than CREDITS messages ahead: a burst stays on the broker's disk.
In a cluster every failure leads to the next node. The node that serves a consumer may die while
ours lives, and our requests with it: it is missed by the heartbeats that they ask for.
"""

import json
import logging
import time
from typing import Any

from host_tools.config import BrokerAddress
from host_tools.settlement import nats
from host_tools.settlement.transport import Claim, Delivery, shard_of
from protocol import topics
from protocol.units import Unavailable

STREAM = "$MQTT_msgs"
PREFIX = "$MQTT.msgs."
QOS1_HEAD = b"NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n"
CREDITS = 10000  # messages asked for and not yet come, of one shard
ACK_WAIT_S = 60
PULL_S = 20  # an open request; the broker says when it ends it
HEARTBEAT_MS = 1000  # of a consumer that has nothing for us; well within nats.PING_MS
KEPT_MS = 30000  # consumers of owners before us, for nodes that are away
MISSED_MAX = 2  # signs of life of the node without a word of a consumer
ANSWER_MS = 2000
RETRY_MS = 1000
ROUNDS_QUIET = 60  # of trying all nodes in vain, one in so many is told
NAMES_MAX = 200000  # topics remembered
_NS_PER_MS = 1000000
_NS_PER_S = 1000 * _NS_PER_MS
_NOT_FOUND = (10014, 10059)  # JetStream error codes: consumer, stream
_SINCE = (2, 14)  # nats-server has consumers that can be reset

_Told = dict[str, dict[str, Any]]

log = logging.getLogger(__name__)


class _Reader:
    """The consumer of one shard on one connection."""

    def __init__(self, claim: Claim, name: str, inbox: str) -> None:
        self.claim = claim
        self.name = name
        self.inbox = inbox
        self.before: list[str] = []  # consumers of owners before us that are not yet ended
        self.made_ms = _now_ms()
        self.coming = 0  # asked for and not yet come
        self.sequence = 0  # of the consumer: every delivery counts one
        self.settled: tuple[int, int] | None = None  # what comes again up to here is skipped
        self.skipped = b""
        self.missed = 0  # how often the node showed that it lives since the consumer did


class JetStreamTransport:
    """All shards on one connection."""

    def __init__(self, broker: BrokerAddress, owner: str = "settle") -> None:
        self._broker = broker  # the node in front is the one we use or try
        self._nodes = 1 + len(broker.fallbacks)
        self._tried = 0  # nodes in vain, since one has served us
        self._owner = owner
        self._inbox = ""  # another one for every connection: late answers are nobody's
        self._connections = 0
        self._claims: dict[int, Claim] = {}
        self._link: nats.Connection | None = None
        self._readers: dict[bytes, _Reader] = {}
        self._names: dict[bytes, str] = {}
        self._retry_ms = 0
        self._refusal = ""
        self._pending: dict[int, int] = {}  # of each shard, as the broker said last
        # Of each consumer: (sequence in the stream, when it came there) of the last one settled.
        self._settled: dict[bytes, tuple[int, int]] = {}

    def open(self, claim: Claim) -> None:
        self._claims[claim.shard] = claim
        self._drop("", told=False)

    def shut(self, shard: int) -> None:
        claim = self._claims.pop(shard, None)
        if claim is not None:
            self._settled.pop(_name_of(claim).encode(), None)
            self._drop("", told=False)

    def stop(self) -> None:
        self._claims.clear()
        self._drop("", told=False)

    def shards(self) -> set[int]:
        return set(self._claims)

    def ready(self) -> bool:
        readers = self._readers.values()
        return len(readers) == len(self._claims) and not any(each.before for each in readers)

    def backlog(self) -> int:
        """What the stream held behind the last message of each shard."""
        return sum(self._pending.get(shard, 0) for shard in self._claims)

    def refusal(self) -> str:
        return self._refusal

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        end_ms = _now_ms() + wait_ms
        out: list[Delivery] = []
        while not out:
            try:
                link = self._connected(end_ms)
                if link is None:
                    return []
                for reader in self._readers.values():
                    self._ask(link, reader)
                link.flush()
                found = link.messages(most, max(0, end_ms - _now_ms()))
                if not found:
                    return []
                out = self._delivered(found)
            except Unavailable as error:
                self._drop(str(error))
                if _now_ms() >= end_ms:
                    return []
        return out

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """Of each shard the last one, which stands for all before it."""
        last: dict[bytes, Any] = {}
        for delivery in deliveries:
            token: Any = delivery.token
            if token is not None:
                last[token[1]] = token
        for made, key, reply in last.values():
            words = reply.split(b".")
            self._pending[int(key.split(b"-")[2])] = int(words[8])
            self._settled[key] = int(words[5]), int(words[7])
            if self._link is not None and made is self._link:
                self._link.publish(reply, b"")
        self.flush()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """QoS 1 goes into the stream of the modules' sessions, QoS 0 to who is connected."""
        if self._link is None or shard_of(topic) not in self._claims:
            return
        subject = topic.replace("/", ".")
        if qos:
            self._link.publish_with_head(PREFIX + subject, QOS1_HEAD, payload)
        else:
            self._link.publish(subject, payload)

    def flush(self) -> None:
        if self._link is not None:
            try:
                self._link.flush()
            except Unavailable as error:
                self._drop(str(error))

    def _connected(self, end_ms: int) -> nats.Connection | None:
        """The connection with a reader for every shard; None when it is too early to try again."""
        if self._link is None:
            wait_ms = self._retry_ms - _now_ms()
            if wait_ms > 0:
                nats.wait(min(wait_ms, max(0, end_ms - _now_ms())))
                if wait_ms > end_ms - _now_ms():
                    return None
            self._tried += 1
            if self._tried % self._nodes == 0:
                self._retry_ms = _now_ms() + RETRY_MS
            self._link = nats.Connection(self._broker)
            if self._link.version < _SINCE:
                self._refusal = f"{self._broker.where}: nats-server must be 2.14 or newer"
            self._connections += 1
            self._inbox = f"_INBOX.gridpurse.{self._owner}.{self._connections}"
            self._link.subscribe(f"{self._inbox}.>", 0)
        while len(self._readers) < len(self._claims):
            known = {reader.claim.shard for reader in self._readers.values()}
            claim = next(item for shard, item in self._claims.items() if shard not in known)
            self._begin(self._link, claim)
        self._tried = 0
        return self._link

    def _drop(self, why: str, told: bool = True) -> None:
        """Gives the connection up; whatever was not acknowledged comes again."""
        if told:
            rounds = max(0, self._tried - 1) // self._nodes
            level = logging.DEBUG if rounds % ROUNDS_QUIET else logging.WARNING
            log.log(level, "broker %s: %s", self._broker.where, why)
            self._broker = self._broker.turned()
        if self._link is not None:
            self._link.close()
        self._link = None
        self._readers.clear()

    def _begin(self, link: nats.Connection, claim: Claim) -> None:
        """The consumer of a claim, from where it or the newest one before it stopped."""
        found = {}
        for generation in range(max(1, claim.since), claim.generation + 1):
            name = _name_of(claim._replace(generation=generation))
            told = self._ask_api(link, "INFO", name, {})
            if "ack_floor" in told:
                found[name] = told
        if not found and claim.made:
            log.warning("shard %d has another reader", claim.shard)
            del self._claims[claim.shard]
            return
        name = _name_of(claim)
        if name in found:
            told = self._ask_api(link, "RESET", name, {})  # to its last acknowledgement
        else:
            floors = [each["ack_floor"]["stream_seq"] for each in found.values()]
            told = self._made(link, claim.shard, name, max(floors, default=0))
        if "error" in told:
            raise Unavailable(f"shard {claim.shard}: {told['error'].get('description')}")
        reader = _Reader(claim, name, f"{self._inbox}.{name}")
        reader.sequence = told["delivered"]["consumer_seq"]
        reader.settled = self._settled.get(name.encode())
        reader.before = [each for each in found if each != name]
        self._shut_out(link, reader, told)
        # A will is only shown, so it may be lost: an ordinary subscription will do.
        link.subscribe(f"{topics.WILL}.{claim.shard}.*", _will_sid(claim.shard))
        self._readers[b"%d" % claim.shard] = reader
        self._claims[claim.shard] = claim._replace(made=True)

    def _made(self, link: nats.Connection, shard: int, name: str, floor: int) -> _Told:
        """A new consumer, behind a sequence of the stream."""
        start: dict[str, object] = {"deliver_policy": "all"}
        if floor:
            start = {"deliver_policy": "by_start_sequence", "opt_start_seq": floor + 1}
        config = start | {
            "durable_name": name,
            "name": name,
            "ack_policy": "all",
            "ack_wait": ACK_WAIT_S * _NS_PER_S,
            "max_ack_pending": 4 * CREDITS,
            "filter_subject": f"{PREFIX}{topics.UP}.{shard}.*",
            "replay_policy": "instant",
        }
        body: dict[str, object] = {"stream_name": STREAM, "config": config, "action": "create"}
        return self._ask_api(link, "DURABLE.CREATE", name, body)

    def _shut_out(self, link: nats.Connection, reader: _Reader, told: _Told) -> None:
        """Ends the consumers before ours once every node knows ours: a node that does not yet
        would find nobody interested in what waits, and drop it."""
        nodes: Any = told.get("cluster", {}).get("replicas", [])
        if all(node["current"] for node in nodes) or _now_ms() > reader.made_ms + KEPT_MS:
            for name in reader.before:
                self._ask_api(link, "DELETE", name, {})
            reader.before = []
            claim = self._claims.get(reader.claim.shard)
            if claim is not None:
                self._claims[claim.shard] = claim._replace(since=claim.generation)

    def _ask_api(
        self, link: nats.Connection, what: str, name: str, body: dict[str, object]
    ) -> _Told:
        subject = f"$JS.API.CONSUMER.{what}.{STREAM}.{name}"
        data = json.dumps(body).encode() if body else b""
        answer = link.request(subject, data, ANSWER_MS, self._inbox)
        if not answer:
            raise Unavailable("JetStream is off, or its cluster has no leader now")
        found: _Told = json.loads(answer)
        error = found.get("error", {}).get("err_code", 0)
        if error and error not in _NOT_FOUND:
            raise Unavailable(f"{subject}: {found['error'].get('description')}")
        return found

    def _ask(self, link: nats.Connection, reader: _Reader) -> None:
        """Opens another request when half of the last one has come."""
        if reader.coming > CREDITS // 2:
            return
        batch = CREDITS - reader.coming
        body = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}' % (
            batch,
            PULL_S * _NS_PER_S,
            HEARTBEAT_MS * _NS_PER_MS,
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{reader.name}"
        link.publish(subject, body, f"{reader.inbox}.{reader.claim.shard}")
        reader.coming += batch

    def _delivered(self, found: list[nats.Message]) -> list[Delivery]:
        out: list[Delivery] = []
        link, names = self._link, self._names
        reader, shard = None, b""
        for subject, _, reply, head, payload in found:
            if not reply:
                self._told(subject, head, payload, out)
                continue
            name = names.get(subject)
            if name is None:
                name = self._named(subject)
            # $JS.ACK.stream.consumer.delivered.stream_seq.consumer_seq.time.pending
            words = reply.split(b".")
            key = words[3]
            if key != shard or reader is None:
                shard = key
                reader = self._readers.get(key.split(b"-")[2])
                if reader is None or reader.name.encode() != key:
                    reader = None
                    continue
            reader.coming -= 1
            reader.missed = 0
            reader.sequence += 1
            if int(words[6]) != reader.sequence:
                raise Unavailable("a message was lost on the way")
            if reader.settled is not None:
                # The time tells it from another one: a broker that lost its last messages in a
                # power cut gives their numbers to the next.
                if int(words[5]) <= reader.settled[0] and int(words[7]) <= reader.settled[1]:
                    reader.skipped = reply
                    continue
                reader.settled = None
            out.append(Delivery(name, payload, (link, key, reply)))
        self._acknowledge_again()
        return out

    def _acknowledge_again(self) -> None:
        """What was settled, and whose acknowledgement a broken connection has lost."""
        for reader in self._readers.values():
            if reader.skipped and self._link is not None:
                self._link.publish(reader.skipped, b"")
                reader.skipped = b""

    def _named(self, subject: bytes) -> str:
        if len(self._names) >= NAMES_MAX:
            self._names.clear()
        text = subject.decode("utf-8", "backslashreplace").removeprefix(PREFIX)
        name = self._names[subject] = text.replace(".", "/")
        return name

    def _told(self, subject: bytes, head: bytes, payload: bytes, out: list[Delivery]) -> None:
        """A will, or what the broker says about a request: how much of it will not come."""
        if not subject:
            self._look_at_readers()
            return
        if subject.startswith(b"w."):
            out.append(Delivery(self._named(subject), payload, None))
            return
        reader = self._readers.get(subject.rsplit(b".", 1)[-1])
        status = head[9:12]
        if reader is None or not status.isdigit():
            return
        reader.missed = 0
        if status in (b"408", b"409") and b"Nats-Pending-Messages: " in head:
            pending = head.split(b"Nats-Pending-Messages: ")[1].split(b"\r\n")[0]
            reader.coming = max(0, reader.coming - int(pending))
        elif status == b"409" and b"Consumer Deleted" in head:
            self._claims.pop(reader.claim.shard, None)
            raise Unavailable(f"shard {reader.claim.shard} has another reader")
        elif status != b"100":
            said = head.split(b"\r\n")[0].decode("utf-8", "replace")
            raise Unavailable(f"shard {reader.claim.shard}: {said}")

    def _look_at_readers(self) -> None:
        """The node lives; so must the one that leads each consumer, which said so in between."""
        for reader in self._readers.values():
            if reader.missed == MISSED_MAX:
                raise Unavailable(f"shard {reader.claim.shard}: nobody serves its consumer")
            reader.missed += 1
            if reader.before and self._link is not None:
                told = self._ask_api(self._link, "INFO", reader.name, {})
                self._shut_out(self._link, reader, told)


def _name_of(claim: Claim) -> str:
    return f"gp-settle-{claim.shard}-{claim.generation}"


def _will_sid(shard: int) -> int:
    return shard + topics.SHARD_MAX + 2


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000
