# runs on: cpython micropython
"""Places on a network: what is taken, and the one line about what is not."""

from protocol import places
from protocol.units import BAD_FIELD, Malformed


def refused(make, *arguments):
    try:
        make(*arguments)
    except Malformed as error:
        assert error.reason == BAD_FIELD
        return error.detail
    raise AssertionError(arguments)


def test_a_list_keeps_its_order_and_may_be_empty():
    assert places.all_of("x", "") == ()
    assert places.all_of("x", "b.example:1883, 10.0.0.7:65535") == (
        ("b.example", 1883),
        ("10.0.0.7", 65535),
    )


def test_a_port_may_be_left_out_only_where_there_is_a_usual_one():
    assert places.one_of("ntp_host", "pool.example", 123) == ("pool.example", 123)
    assert places.one_of("ntp_host", "pool.example:1123", 123) == ("pool.example", 1123)
    assert refused(places.all_of, "broker_fallbacks", "b.example").startswith("broker_fallbacks: ")


def test_what_is_no_place_is_one_line_with_the_settings_name():
    wrong = (
        "b:", "b:0", "b:65536", "b:123456", "b:-1", "b:+1", "b:1.0", "b: 1", "b:x", ":1883", ":",
        "a:1,", ",a:1", "a:1,,b:2", "a:1 b:2", "a:b:1", "::1:1883", "a b:1",
    )  # fmt: skip
    for text in wrong:
        assert refused(places.all_of, "x", text).startswith("x: must be host:port"), text
    for text in ("p:", "p:0", ":123"):
        assert refused(places.one_of, "x", text, 123).startswith("x: "), text
