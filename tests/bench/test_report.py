"""What a report says of itself, before it measures anything."""

import pytest

from tests.bench import settlement


@pytest.mark.parametrize(("name", "part"), [("bench", "drian"), ("proof", "drain")])
def test_a_part_that_is_not_of_the_list_is_named_with_those_that_are(
    name: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settlement.REPORT.main(name, [part]) == 2
    told = capsys.readouterr()
    parts = ", ".join(settlement.PARTS[name])
    assert told.err == f"settlement {name}: no part {part}; say {parts}\n" and not told.out
