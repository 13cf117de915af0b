"""What a person reads of bills is in English and in Chinese, and says what does not add up."""

import ast
from collections.abc import Iterator

import pytest

from host_tools.billing import printed, words
from host_tools.rating.lines import line_of
from host_tools.tariffs import terms
from tests.host_tools.desk import Desk
from tests.host_tools.genuine import ROOT
from tests.host_tools.test_closing import MONTH, TERMS, Home

SCHEDULE = """
tier_period = "months"
tier_length = 2
tiers_kwh = [100]
adders = ["0", "0.10"]
schedule = [{ above_kwh = 400, prices = { flat = "0.80" } }]
"""

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


@pytest.mark.parametrize(
    ("kind", "rule", "told"),
    [
        ("terms", "percent duty", "按电价条款：按比例 电力税"),
        ("terms", "per_kwh fund", "按电价条款：按电量 基金"),  # by the file's own word
        ("terms", "per_kw_year of two words", "按电价条款：按年每千瓦 of two words"),
        ("terms", "minimum", "按电价条款：补足最低电费"),
        ("terms", "rounding", "按电价条款：舍入"),
        ("lost", "charges", "缺失记录（按模块申报）：电费"),
        ("lost", "others", "缺失记录（按模块申报）：其他"),
    ],
)
def test_a_line_of_a_rule_is_told_in_chinese(kind: str, rule: str, told: str) -> None:
    line = line_of(kind, rule, 5)
    names_zh = {"fund": "基金"}
    assert printed.item(line, names_zh, "zh") == told
    english = printed.item(line, names_zh, "en")
    assert english.endswith(f": {rule}") and english.isascii()
    assert printed.item(line, names_zh, "both") == f"{english} {told}"


@pytest.mark.parametrize("kind", [*terms.DECIMALS, terms.ENERGY, terms.FIXED, terms.MINIMUM])
def test_every_kind_of_rule_has_a_chinese_word(kind: str) -> None:
    assert in_both(words.ruled(kind, {}, "zh"))


@pytest.mark.parametrize(
    ("language", "told"),
    [("zh", "按电价条款：按比例 税费"), ("en", "by the terms of the tariff: percent duty")],
)
def test_a_closed_month_of_terms_names_them_as_its_tariff_does(
    desk: Desk, capsys: pytest.CaptureFixture[str], language: str, told: str
) -> None:
    """February is of a tier period of two months, so that its terms are lines of their rules."""
    text = TERMS.replace("[[set]]", 'names_zh = { duty = "税费" }\n[[set]]\n' + SCHEDULE)
    home = Home(desk, capsys, 310_000, text=text)
    home.bill("close", "m1", 0, *MONTH)
    home.read(28, 280_000)
    code, out, err = home.orderly.run("bill", "close", "m1", 0, "--month", "2026-02")
    assert code == 0 and "percent duty 按比例 税费" in out, err
    shown = home.orderly.run("bill", "draft", "m1", 0, "--month", "2026-02", "--lang", language)
    assert told in shown[1]
    lines = home.bill("draft", "m1", 0, "--month", "2026-02")["bill"]["lines"]
    assert {"percent duty": "按比例 税费"}.items() <= {
        line["name"]: line["name_zh"] for line in lines
    }.items()
