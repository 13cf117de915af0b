"""The proof of the relay's rules holds, and notices a rule that is broken."""

import pytest

from firmware import relay, supply
from tests.bench import relay_rules

THIN = 17  # prime to every dimension, so that a share has all of their values


def test_no_case_opens_or_stays_against_the_rules() -> None:
    cases, openings, stays, first = relay_rules.judged(3, THIN)
    assert cases > 10_000 and (openings, stays) == (0, 0), first


@pytest.mark.parametrize("rank", range(len(relay.RANKS)))
def test_a_rank_that_is_not_masked_opens_against_the_rules(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    broken = list(relay.RANKS)
    hold, rule, masks = broken[rank]
    broken[rank] = hold, rule, 0
    monkeypatch.setattr(relay, "RANKS", tuple(broken))
    _, openings, _, _ = relay_rules.judged(3, THIN)
    assert bool(openings) == bool(masks)


@pytest.mark.parametrize("rank", range(len(relay.RANKS)))
def test_a_rank_that_is_forgotten_lets_the_supply_on(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    broken = relay.RANKS[:rank] + relay.RANKS[rank + 1 :]
    monkeypatch.setattr(relay, "RANKS", broken)
    _, _, stays, _ = relay_rules.judged(3, THIN)
    assert stays


def test_a_delay_that_never_ends_is_a_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply.Supply, "delayed", lambda *_: True)
    _, _, stays, _ = relay_rules.judged(3, THIN)
    assert stays
