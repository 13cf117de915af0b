"""The long proofs on small counts, so that they cannot rot; and their figures can fall short."""

import json
from pathlib import Path

import pytest

from tests.bench import cuts, differential, figures, fuzz, heap, mutations, proof_chain, tokens


def test_short_power_cuts_break_nothing() -> None:
    values = cuts.measure(every=29)
    assert values.pop("cuts_tried") >= 40
    assert set(values.values()) == {0}


def test_short_fuzzing_finds_nothing() -> None:
    values = fuzz.measure(host_inputs=6000, module_inputs=1000)
    assert values == {
        "host_fuzz_inputs": 6000,
        "host_fuzz_failures": 0,
        "module_fuzz_inputs": 1000,
        "module_fuzz_failures": 0,
    }


def test_a_short_differential_finds_nothing() -> None:
    values = differential.measure(60)
    assert values == {"differential_histories": 60, "differential_differences": 0}


@pytest.mark.parametrize("kind", ("1_point", "1_point_romfs"))
def test_a_short_week_measures_the_heap(kind: str) -> None:
    values = heap.measure(kind, heap_bytes=1 << 18, day_s=1800)
    assert 60_000 < values[f"heap_peak_bytes_{kind}"] < 1 << 18
    assert values.get("heap_board_bytes", 20_000) > 10_000


def test_no_vector_fails() -> None:
    assert proof_chain.vectors() == {"codec_vectors_failed": 0}


class Careless(mutations.Doors):
    """A door that lets another exception out."""

    def inside(self, message: object) -> None:
        raise KeyError(message)


def test_a_door_that_breaks_is_a_fuzz_failure(tmp_path: Path) -> None:
    fuzz.write_corpus(tmp_path / "corpus")
    _, failures, first = mutations.run(str(tmp_path / "corpus"), 1, 500, Careless(True))
    assert failures > 0
    assert "KeyError" in first


def test_an_input_that_takes_too_much_memory_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        fuzz.weighed(lambda data, down: bytes(fuzz.MEMORY_BYTES_MAX + 1), b"", False)


def test_a_digest_that_differs_is_a_difference() -> None:
    good = ["aa" * 32, "bb" * 32, "cc" * 32]
    assert differential.compared(7, good, good) == (0, "")
    assert differential.compared(7, good, ["aa" * 32, "dd" * 32, "cc" * 32]) == (1, "seed 8")
    assert differential.compared(7, good, good[:2]) == (1, "seed 9")
    unbuilt = [b"not rebuilt".hex()] * 3
    assert differential.compared(7, unbuilt, unbuilt) == (3, "seed 7")


def test_every_figure_has_a_target_that_it_can_miss() -> None:
    for figure, (_, op, target) in figures.TARGETS.items():
        missed = target - 1 if op == ">=" else target + 1
        for value, ok in ((target, True), (missed, False)):
            (row,) = figures.rows({figure: value})
            assert row["ok"] is ok
            assert set(row) == {"figure", "value", "unit", "op", "target", "ok"}


def test_a_figure_that_falls_short_ends_with_status_1(tmp_path: Path) -> None:
    assert figures.write("a", {"cuts_tried": 1000}, tmp_path) == 0
    assert figures.write("a", {"cuts_tried": 999}, tmp_path) == 1
    assert json.loads((tmp_path / "a.json").read_text())[0]["ok"] is False


def test_short_token_histories_credit_once_and_keep_the_lock_out() -> None:
    values = tokens.measure(histories=400, genuine=40)
    assert values == {
        "token_vectors_failed": 0,
        "token_double_accepts": 0,
        "token_lockout_bypasses": 0,
    }
