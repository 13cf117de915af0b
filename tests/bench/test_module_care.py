"""The replacement on real firmware in short; roll-outs are in proof-provisioning alone."""

from tests.bench import module_care


def test_a_replacement_under_load_leaves_no_difference() -> None:
    assert module_care.replace_difference(short=True) == 0
