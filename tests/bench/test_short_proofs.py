"""The long proofs on small counts, so that they cannot rot; and their figures can fall short."""

import json
import os
from pathlib import Path

import pytest

from tests.bench import (
    cuts,
    cuts_updates,
    differential,
    figures,
    flash_life,
    fuzz,
    heap,
    module,
    mutations,
    peers,
    proof_chain,
    pulses,
    relay_open,
    rig,
    tokens,
    wires,
)  # fmt: skip


def test_short_power_cuts_break_nothing() -> None:
    values = cuts.measure(every=29, poll_s=300)
    assert values.pop("cuts_tried") >= 40
    assert set(values.values()) == {0}


def test_short_power_cuts_of_updates_leave_something_that_boots() -> None:
    values = cuts_updates.measure(every=97)
    assert values.pop("life_cuts_tried") >= 8
    assert set(values.values()) == {0}
    assert {f"life_cuts_{name}" for name in cuts_updates.FIGURES} <= set(figures.MODULE)


def test_a_short_stretch_wears_little() -> None:
    assert flash_life.measure(days=1, poll_s=60)["flash_life_years"] >= 50
    assert flash_life.years(5, 1, 1) == 54
    assert flash_life.years(6, 1, 1) == 45


def test_a_few_openings_are_seen() -> None:
    """Not how fast: this runs beside other tests."""
    values = relay_open.tried(openings=4, modules=1)
    assert set(values) <= set(figures.MODULE) and "relay_open_trials" in values
    assert values.get("relay_open_ms_p99", 0) < relay_open.MISSED_MS


def test_the_slowest_of_a_hundred_is_told() -> None:
    assert relay_open.p99([*range(100)]) == 98
    assert relay_open.p99([5] * 98 + [70, 80]) == 70
    assert relay_open.p99([3]) == 3


def test_a_hurry_ends_with_its_bench() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with rig.hurried():
        pass
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_few_pulses_are_not_lost() -> None:
    assert pulses.tried(seconds=2) == {"pulses_sent": 200, "pulses_lost": 0}


def test_peers_are_only_reported() -> None:
    values = peers.measure()
    assert 2 * values["peer_sealed_bytes"] < values["peer_tasmota_bytes"]
    assert all(row["ok"] for row in figures.rows(values))


def test_short_fuzzing_of_the_wires_finds_nothing() -> None:
    assert wires.measure(8000) == {"fuzz_inputs": 8000, "fuzz_failures": 0}


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
    values = heap.measured(kind, heap_bytes=1 << 18, day_s=1800)
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
    for targets in figures.TARGETS.values():
        for figure, (_, op, target) in targets.items():
            if op == figures.REPORTED:
                continue
            missed = target - 1 if op == ">=" else target + 1
            for value, ok in ((target, True), (missed, False)):
                (row,) = figures.rows({figure: value}, targets)
                assert row["ok"] is ok
                assert set(row) == {"figure", "value", "unit", "op", "target", "ok"}


def test_a_figure_that_falls_short_ends_with_status_1(tmp_path: Path) -> None:
    assert figures.write("a", {"cuts_tried": 20_000}, tmp_path) == 0
    assert figures.write("a", {"cuts_tried": 19_999}, tmp_path) == 1
    assert json.loads((tmp_path / "a.json").read_text())[0]["ok"] is False


def test_a_reported_figure_cannot_fall_short(tmp_path: Path) -> None:
    targets = {"peer": ("bytes", figures.REPORTED, 0)}
    assert figures.write("a", {"peer": 123}, tmp_path, targets) == 0


def keep_part(folder: Path, part: str, values: dict[str, int], sources: str) -> None:
    figures.write(part, values, folder)
    (folder / f"{part}.sources").write_text(sources)


def test_a_figure_that_nobody_measured_falls_short(tmp_path: Path) -> None:
    keep_part(tmp_path, "cuts", {"cuts_tried": 20_000}, module.fingerprint())
    everything, own = module.merged("proof", tmp_path)
    short = {row["figure"] for row in own if not row["ok"]}
    assert "cuts_tried" not in short
    assert {"cuts_records_lost", "fuzz_inputs"} <= short
    assert "pulses_lost" not in {row["figure"] for row in everything}


def test_a_figure_of_other_sources_is_not_merged(tmp_path: Path) -> None:
    keep_part(tmp_path, "cuts", {"cuts_tried": 20_000}, "0" * 16)
    _, own = module.merged("proof", tmp_path)
    assert "cuts_tried" in {row["figure"] for row in own if not row["ok"]}


def test_a_part_that_dies_is_named_and_takes_nothing_along(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keep_part(tmp_path, "no_such_part", {"cuts_tried": 20_000}, module.fingerprint())
    assert not module.run("no_such_part", tmp_path)
    assert "no_such_part: ended with 1" in capfd.readouterr().err
    assert module.measured("no_such_part", tmp_path) == []


def test_short_token_histories_credit_once_and_keep_the_lock_out() -> None:
    values = tokens.measure(histories=400, genuine=40)
    assert values == {
        "token_vectors_failed": 0,
        "token_double_accepts": 0,
        "token_lockout_bypasses": 0,
    }
