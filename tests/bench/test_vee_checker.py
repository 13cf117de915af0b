"""The corpus of validation in short, and that its figures would rise when something is missed."""

from dataclasses import replace

from host_tools.validation.limits import Limits
from tests.bench import figures, vee


def test_two_household_months_keep_what_the_corpus_asks() -> None:
    values = vee.measure(2)
    wanted = figures.TARGETS["settlement proof"]
    short = {row["figure"] for row in figures.rows(values, wanted) if not row["ok"]}
    assert short <= {"vee_households", "vee_hard_seeded"}  # two months are few


def test_a_blunted_check_would_be_noticed() -> None:
    good, _ = next(vee.households(1))
    bad, start_s, end_s = vee.PLANT["V11"](good, 100)
    key = [(start_s, end_s)]
    assert vee.missed(bad, "V11", key, Limits()) == 0
    assert vee.missed(bad, "V11", key, replace(Limits(), headroom_permille=9000)) == 1
