"""Properties that hypothesis hunts for: ledgers, batches and top-up numbers of any history."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import facts, ledger, reading, tariff, topup
from tests.bench import differential, histories

SEEDS = st.integers(0, 1 << 32)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just(histories.METER),
            st.sampled_from((0, 1, 417, 900, 1800, 86400, 40 * 86400)),
            st.integers(0, 50_000),
            st.integers(0, 2),
        ),
        st.tuples(st.just(histories.TOPUP), st.integers(1, 60), st.integers(1, 10**12)),
        st.tuples(
            st.just(histories.ADJUST),
            st.integers(1, 1 << 32 - 1),
            st.integers(0, 9),
            st.integers(-(10**12), 10**12),
        ),
        st.tuples(st.just(histories.SWITCH), st.integers(0, 1)),
    ),
    max_size=30,
)


def played(seed: int, operations: list[tuple[int, ...]]) -> histories.History:
    dice = differential.random.Random(seed)
    books = [differential.random_book(dice, version) for version in (1, 2)]
    wires = [differential.cbor.encode(differential.tariff_book.to_wire(book)) for book in books]
    history = histories.History(wires)
    history.open(differential.FROM_S + dice.randrange(500 * 86400) + 417, dice.randrange(1 << 40))
    for operation in operations:
        history.step(list(operation))
    return history


@given(SEEDS, OPERATIONS, st.data())
@settings(max_examples=150)
def test_a_batch_of_any_history_comes_back(seed, operations, data):  # type: ignore
    entries = played(seed, operations).entries
    start = data.draw(st.integers(0, len(entries) - 1))
    state = entries[start][0]
    items = []
    for before, _, entry in entries[start:]:
        items.append(reading.to_item(before.time_s, entry))
    found = facts.of_items(state.time_s, 0, items)
    for (_, book, entry), fact in zip(entries[start:], found, strict=True):
        again = facts.rebuild(state, book, fact)
        assert again == entry
        state = ledger.apply(state, again)


@given(SEEDS, OPERATIONS)
@settings(max_examples=100)
def test_a_balance_is_the_sum_of_its_entries(seed, operations):  # type: ignore
    history = played(seed, operations)
    entries = [entry for _, _, entry in history.entries]
    state = history.state
    assert state.balance_ncur == sum(entry.amount_ncur for entry in entries)
    by_kind = {
        kind: sum(entry.amount_ncur for entry in entries if entry.kind == kind)
        for kind in range(1, 8)
    }
    assert state.charged_ncur == -by_kind[ledger.CHARGE] - by_kind[ledger.FIXED]
    assert state.topups_ncur == by_kind[ledger.TOPUP]
    opening = entries[0].register_wh
    assert state.register_wh == opening + sum(entry.energy_wh for entry in entries)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    numbers = [entry.number for entry in entries if entry.kind == ledger.TOPUP]
    assert len(numbers) == len(set(numbers))


@given(SEEDS, st.integers(0, 50_000), st.integers(0, 40), st.integers(1, 20_000))
@settings(max_examples=150)
def test_splitting_on_whole_watt_hours_changes_nothing(
    seed: int, start: int, step_wh: int, step_s: int
) -> None:
    """Whole: the energy up to the split is E * (t - t0) / (tn - t0) without a remainder."""
    dice = differential.random.Random(seed)
    book = differential.random_book(dice, 1)
    from_s = differential.FROM_S + start * 900
    left, right = dice.randint(1, 40), dice.randint(1, 40)
    before = tariff.position_at(book, tariff.Position(-1, 0), from_s)
    whole = tariff.charge(
        book, before, from_s, from_s + (left + right) * step_s, (left + right) * step_wh
    )
    split_s = from_s + left * step_s
    first = tariff.charge(book, before, from_s, split_s, left * step_wh)
    second = tariff.charge(book, first[1], split_s, split_s + right * step_s, right * step_wh)
    assert first[0] + second[0] == whole[0]
    assert not step_wh or second[1] == whole[1]


@given(st.lists(st.integers(-5, 80), max_size=80))
def test_no_number_is_credited_twice(numbers: list[int]) -> None:
    mark, credited = topup.START, set()
    for number in numbers:
        in_window = number > mark.highest or (
            number > mark.floor and number > mark.highest - topup.WINDOW and number % 2 == 0
        )
        fresh = topup.check(mark, number) == topup.FRESH
        assert fresh == (in_window and number > 0 and number not in credited)
        if fresh:
            credited.add(number)
            mark = topup.accept(mark, number)
