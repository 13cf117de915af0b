"""Short forms of the proofs on the care of modules, on real firmware."""

from tests.bench import module_care


def test_a_replacement_under_load_leaves_no_difference() -> None:
    assert module_care.replace_difference(short=True) == 0


def test_a_bad_bundle_is_halted_and_bricks_nothing() -> None:
    assert module_care.update_bricked(short=True) == 0
