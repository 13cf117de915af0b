# runs on: cpython micropython
"""Topics of a module: made, read back, and refused when they are anything else."""

from protocol import topics
from protocol.units import WRONG_TOPIC, Malformed


def test_a_topic_reads_back_as_what_it_was_made_of():
    for shard in (0, 3, 4095):
        for module in ("a", "meter-0042", "0" * 16):
            for way, made in (("u", topics.up), ("d", topics.down)):
                assert topics.parse(made(shard, module)) == topics.Address(way, shard, module)


def test_the_shard_filter_is_one_level_wide():
    assert topics.all_of(topics.UP, 7) == "u/7/+"


def test_every_other_topic_is_refused():
    for topic in (
        "",
        "u/3/meter/",
        "/u/3/meter",
        "x/3/meter",
        "U/3/meter",
        "u//meter",
        "u/4096/meter",
        "u/03/meter",
        "u/-1/meter",
        "u/12345/meter",
        "u/+/meter",
        "u/3/+",
        "u/3/#",
        "u/3/",
        "u/3/Meter",
        "u/3/meter.1",
        "u/3/meter 1",
        "u/3/" + "m" * 17,
        "u/3/meter/sideways",
        "u/3",
        "u/3/mét",
        "u/\u0663/meter",
    ):
        try:
            topics.parse(topic)
        except Malformed as error:
            assert error.reason == WRONG_TOPIC
            continue
        raise AssertionError(topic)


def test_a_module_id_is_what_nats_takes_as_a_token():
    assert topics.module_id_ok("abc-123")
    for bad in ("", "a" * 17, "A", "a_b", "a.b", "a*", "a>", "a b", "é", None, 7, b"abc"):
        assert not topics.module_id_ok(bad)
