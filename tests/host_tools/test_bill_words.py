"""What a person reads of bills is in English and in Chinese, and says what does not add up."""

import ast
from collections.abc import Iterator

import pytest

from tests.host_tools.genuine import ROOT

RAISED = ("Refused", "Nameless")
# Says why all terms of a month are not worked out, which becomes a refusal of closing.
REASONS = "beyond.py"


def constants(node: ast.AST) -> str:
    """What of a message is the same each time."""
    return "".join(
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "host_tools/billing").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            raised = isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED
            text = "" if id(node) in docs or path.name != REASONS else constants(node)
            reason = isinstance(node, ast.Constant) and len(text.split()) > 3
            if raised or reason:
                yield f"{path.name}:{getattr(node, 'lineno', 0)}", constants(node)


def in_both(text: str) -> bool:
    """True for a message with Chinese, and for one that only passes another on."""
    no_words = not any(each.isalpha() for each in text)
    return no_words or any("\u4e00" <= each <= "\u9fff" for each in text)


def test_every_refusal_of_a_bill_is_in_chinese_too() -> None:
    found = list(messages())
    assert len(found) > 20
    assert [where for where, text in found if not in_both(text)] == []


@pytest.mark.parametrize(
    ("text", "good"), [("no such bill", False), ("no such bill 无此账单", True), (" : -", True)]
)
def test_a_refusal_without_chinese_would_be_noticed(text: str, good: bool) -> None:
    assert in_both(text) == good
