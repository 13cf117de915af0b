"""The MQTT decoder under arbitrary bytes and arbitrary cuts."""

from hypothesis import given
from hypothesis import strategies as st

from firmware import mqtt_codec as codec
from protocol.units import Malformed

TOPICS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=20
)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_arbitrary_bytes_give_packets_or_malformed_and_stay_within_the_bound(chunks):
    decoder = codec.Decoder(50)
    try:
        for chunk in chunks:
            for packet in decoder.feed(chunk):
                assert isinstance(packet, tuple)
            assert decoder._body is None or len(decoder._body) <= 50
    except Malformed:
        pass


@given(
    st.lists(
        st.tuples(TOPICS, st.binary(max_size=200), st.integers(0, 1), st.integers(1, 65535)),
        max_size=6,
    ),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_what_was_published_is_received_however_the_stream_is_cut(messages, cuts):
    stream = b"".join(codec.publish(*message) for message in messages)
    decoder = codec.Decoder(300)
    got = []
    i = 0
    while stream:
        n = cuts[i % len(cuts)]
        got.extend(decoder.feed(stream[:n]))
        stream = stream[n:]
        i += 1
    expected = [
        (codec.PUBLISH, topic, payload, qos, False, False, number if qos else 0)
        for topic, payload, qos, number in messages
    ]
    assert got == expected
