# runs on: cpython micropython
"""Topics of a module: made, read back, and refused when they are anything else."""

from protocol import topics
from protocol.units import WRONG_TOPIC, Malformed


def test_a_topic_reads_back_as_what_it_was_made_of():
    for shard in (0, 3, 4095):
        for module in ("a", "meter-0042", "0" * 16):
            up = topics.parse(topics.up(shard, module))
            down = topics.parse(topics.down(shard, module))
            assert up == topics.Address(shard, module, "up")
            assert down == topics.Address(shard, module, "down")


def test_the_shard_filter_is_one_level_wide():
    assert topics.all_up(7) == "gp/1/7/+/up"


def test_every_other_topic_is_refused():
    for topic in (
        "",
        "gp/1/3/meter/up/",
        "/gp/1/3/meter/up",
        "gp/2/3/meter/up",
        "GP/1/3/meter/up",
        "gp/1//meter/up",
        "gp/1/4096/meter/up",
        "gp/1/03/meter/up",
        "gp/1/-1/meter/up",
        "gp/1/12345/meter/up",
        "gp/1/+/meter/up",
        "gp/1/3/+/up",
        "gp/1/3/#",
        "gp/1/3//up",
        "gp/1/3/Meter/up",
        "gp/1/3/meter.1/up",
        "gp/1/3/meter 1/up",
        "gp/1/3/" + "m" * 17 + "/up",
        "gp/1/3/meter/sideways",
        "gp/1/3/meter",
        "gp/1/3/mét/up",
        "gp/1/\u0663/meter/up",
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
