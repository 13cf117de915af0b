"""The MQTT client of a module, out of its settings. Needed once a start, then forgotten."""

from firmware import mqtt
from protocol import places, topics

# Under TLS the first write is the handshake, which takes a chip seconds.
TLS_REPLY_MS = 15000
REPLY_MS = 5000


def client(board, clock, settings, events, device_log, receive):
    """Plain or over TLS, with the list of brokers, the one subscription and the will."""
    link = board.link
    if settings.tls or settings.ntp_host:
        from firmware.secure_link import SecureLink

        link = SecureLink(board, clock, settings, events, device_log)
    first = ((settings.broker_host, settings.broker_port),)
    options = mqtt.options(
        first + places.all_of("broker_fallbacks", settings.broker_fallbacks),
        settings.module,
        subscriptions=((topics.down(settings.shard, settings.module), 1),),
        user=settings.broker_user or None,
        password=settings.broker_password.encode() or None,
        will=(topics.of(topics.WILL, settings.shard, settings.module), b"", 1, False),
        keepalive_s=settings.keepalive_s,
        reply_ms_max=TLS_REPLY_MS if settings.tls else REPLY_MS,
    )
    return mqtt.Client(link, options, receive, board.ticks_ms, board.entropy)
