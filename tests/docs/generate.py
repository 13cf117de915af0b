"""Writes the tables of the docs that come from the code, and the demo's transcript.

    python -m tests.docs.generate                      all tables
    python -m tests.docs.generate build/demo.txt       and the transcript of a demo that passed

A page holds `<!-- generated: name -->` ... `<!-- end -->`; what lies between is replaced. The docs
test compares every page with what this program would write. Words are protocol.words in English
and tests.docs.chinese in Chinese.
"""

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from boards.esp32 import lights
from firmware import lamp, log, prepaid, relay
from host_tools.exchange import meter_file, obis, records
from host_tools.faults import Kind
from host_tools.flashing import faults as flash_faults
from host_tools.lab.module import FAULTS
from host_tools.maps import faults as map_faults
from host_tools.ordering import command as ordering
from host_tools.ordering import fee_control, rollout
from host_tools.ordering import words as ordered
from host_tools.ordering.kinds import ADJUSTMENTS
from host_tools.provisioning import faults
from host_tools.provisioning.steps import STEPS
from host_tools.settlement import inbox, settle
from host_tools.validation import audit, limits, mending, review
from host_tools.validation import table as vee
from protocol import codes, cose, messages, messages_up, settings, words
from protocol.units import NCUR_MAX
from tests.docs import chinese

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TYPES = {0: "integer", 1: "text", 2: "list", 3: "map", 4: "bytes"}
PASSED = "reconciled to the nano-unit"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def worded(english: Mapping[int, str], translated: Mapping[int, str]) -> str:
    rows = [(number, word, translated[number]) for number, word in english.items()]
    return table(("number", "word", "中文"), rows)


def constants(module: object, *names: str) -> dict[int, str]:
    return {getattr(module, name): name for name in names}


def relay_table() -> str:
    """Every pair of state and event, in the order of the code."""
    actions = constants(relay, *chinese.RELAY_ACTIONS)
    rows = []
    english = words.RELAY_STATES
    for place, (after, action) in enumerate(relay.TABLE):
        state, event = divmod(place, relay.EVENTS)
        stays = action == relay.NOTHING and after == state
        name = actions[action]
        rows.append(
            (
                f"{english[state]} {chinese.RELAY_STATES[state]}",
                f"{words.RELAY_EVENTS[event]} {chinese.RELAY_EVENTS[event][0]}",
                "-" if stays else f"{english[after]} {chinese.RELAY_STATES[after]}",
                "-" if stays else f"`{name}` {chinese.RELAY_ACTIONS[name]}",
            )
        )
    return table(("state 状态", "event 事件", "next 次态", "action 动作"), rows)


def relay_ranks() -> str:
    """The first row whose hold stands, unmasked, decides."""

    def named(bits: int) -> str:
        found = [each for bit, each in chinese.RELAY_BITS.items() if bits & bit]
        return "<br>".join(f"`{name}` {word}" for name, word, _ in found) or "-"

    rows = []
    for rank, (hold, rule, masks) in enumerate(relay.RANKS, 1):
        what = chinese.RELAY_BITS[hold][2]
        by = f"{rule} {words.RELAY_RULES[rule]} {chinese.RELAY_RULES[rule]}"
        rows.append((rank, named(hold), what, by, named(masks)))
    return table(("rank", "hold 闭锁", "what", "rule 规则", "masked by 屏蔽"), rows)


def relay_events() -> str:
    rows = [
        (number, word, chinese.RELAY_EVENTS[number][0], chinese.RELAY_EVENTS[number][1])
        for number, word in words.RELAY_EVENTS.items()
    ]
    return table(("number", "event", "中文", "when"), rows)


def relay_times() -> str:
    low, high = relay.CLOSE_AFTER_BOOT_MS
    rows = (
        ("open at least", "跳闸最短保持", f"{relay.OPEN_MIN_MS} ms"),
        ("closed at least", "合闸最短保持", f"{relay.CLOSED_MIN_MS} ms"),
        ("operations in an hour", "每小时动作次数", "`operations_per_hour`, but for safety"),
        ("no close after power-on for", "上电后延时合闸", f"{low} to {high} ms, random"),
    )
    return table(("guard", "中文", "time"), rows)


def zones() -> str:
    rows = [
        (getattr(prepaid, name), word, translated, f"`{name}`")
        for name, word, translated in chinese.ZONES.values()
    ]
    return table(("zone", "balance", "中文", "name in the code"), rows)


# (type, low, high) of what is not simply an integer from 0 on.
FIELD_CHECKS = {
    messages.SEQ: (0, 1, messages.U32),
    messages.NCUR: (0, -NCUR_MAX, NCUR_MAX),
    messages.FIRMWARE: (1, 1, 32),
    messages.ITEMS: (2, 1, messages.ITEMS_MAX),
    messages.STATE: (2, 9, 9),
    messages.ARGS: (2, 0, messages.ARGS_MAX),
    messages.STREAMS: (3, 0, messages.EVENT_STREAM + 1),
    messages.HEAD: (4, 16, 16),
}
FIELDS = {**messages_up.UP, **messages.DOWN}


def bounds(check: tuple[int, int, int]) -> str:
    kind, low, high = check
    if kind == 0:
        return f"{power(low)} to {power(high)}"
    what = {1: "characters", 4: "bytes"}.get(kind, "items")
    return f"{low} {what}" if low == high else f"{low} to {high} {what}"


def power(number: int) -> str:
    """Large powers of two, or one less, as such; any other number as it is."""
    size = abs(number)
    for exact, less in ((size, ""), (size + 1, "-1")):
        if size >= 1 << 20 and exact & (exact - 1) == 0:
            bits = exact.bit_length() - 1
            if number > 0:
                return f"2^{bits}{less}"
            return f"1-2^{bits}" if less else f"-2^{bits}"
    return str(number)


def left_out(kind: int, number: int) -> str:
    default = messages.default_of(kind, number)
    return "" if default < 0 else f"; left out when {default}"


def message_kinds() -> str:
    out = []
    for kind, make in messages.TYPES.items():
        checks = [FIELD_CHECKS.get(check, (0, 0, check)) for check in FIELDS[kind]]
        name = make.__name__.upper()
        way = "host to module" if messages.is_down(kind) else "module to host"
        full = messages.alg_of(kind) == cose.HMAC_256_256
        tag = "256-bit tag" if full else "64-bit tag"
        out.append(f"### {kind} `{name}` {chinese.KINDS[kind]}\n\n{way}, {tag}\n")
        rows = [
            (number, f"`{field}`", TYPES[check[0]], bounds(check) + left_out(kind, number))
            for number, (field, check) in enumerate(zip(make._fields, checks, strict=True), 1)
        ]
        out.append(table(("field", "name", "type", "bounds"), rows))
    return "\n" + "\n".join(out) + "\n"


def bracketed(name: str) -> str:
    """What the comment behind a constant of codes.py says of its arguments."""
    source = Path(codes.__file__).read_text(encoding="utf-8")
    found = re.search(rf"^{name} = const\(\d+\)  # (\[[^\]]*\])", source, re.MULTILINE)
    return f"`{found[1]}`" if found else "-"


def numbered(names: str, english: Mapping[int, str], translated: Mapping[int, str]) -> str:
    rows = []
    for name in names.split():
        number = getattr(codes, name)
        rows.append(
            (number, f"`{name}`", english[number], translated[number], bracketed(name)),
        )
    return table(("number", "name", "word", "中文", "arguments"), rows)


def actions() -> str:
    names = (
        "TOPUP TARIFF RELAY ADJUST CONFIG STATE PLAN CLEAR METER UPDATE DEBT TRANSFER KEY CLOCK"
    )
    return numbered(names, words.ACTIONS, chinese.ACTIONS)


EVENT_NAMES = (
    "BOOT CLOCK_SET RELAY_OPENED RELAY_CLOSED RELAY_ARMED WARNING REJECTED METER_SILENT"
    " METER_BACK REGISTER_REFUSED TASK_RESTARTED RELAY_MISMATCH TARIFF_SET OUTBOX_FULL"
    " RELAY_DISARMED RELAY_PENDING EMERGENCY LOAD_LIMIT HOLD_SUPPLY TOKEN_LOCKED TOKEN"
    " METER_REBASED METER_IDENTITY METER_FROZEN CLOCK_REFUSED QUALITY AGGREGATE TAMPER"
    " SAFE_MODE UPDATED CONFIG_SET CRASH DEBT_LEFT MOMENTS TARIFF_SWITCHED RELAY_WORN"
)


def events() -> str:
    """With a mark behind those that no line of the firmware sends."""
    firmware = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "firmware").rglob("*.py"))
    )
    out = numbered(EVENT_NAMES, words.EVENTS, chinese.EVENTS)
    for name in EVENT_NAMES.split():
        if f"codes.{name}" not in firmware:
            out = out.replace(f"| `{name}` |", f"| `{name}` (not sent yet 尚未使用) |")
    return out


def reasons() -> str:
    rows = []
    for number, word in words.REASONS.items():
        translated, remedy, translated_remedy = chinese.REASONS[number]
        rows.append((number, word, translated, f"{remedy}<br>{translated_remedy}"))
    return table(("number", "reason", "原因", "what to do 处理"), rows)


def differences() -> str:
    rows = []
    named = settle.ROLLBACK, settle.VERSION, settle.TAMPER, settle.SWAP, settle.UNEXPLAINED
    for kind in (*named, mending.NO_CLOCK, inbox.MISSING):
        translated, closes, remedy, translated_remedy = chinese.DIFFERENCES[kind]
        rows.append((kind, translated, closes, f"{remedy}<br>{translated_remedy}"))
    return table(("class", "类别", "closes", "what to do 处理"), rows)


def settings_rows(
    checks: Sequence[tuple[str, int, int, int, object]],
) -> list[tuple[object, ...]]:
    """A default stands behind the bounds; what has none is required."""
    rows = []
    for number, (name, kind, low, high, default) in enumerate(checks, 1):
        limits = bounds((kind, low, high))
        if default is not None:
            limits += f"; `{default!r}`"
        rows.append((number, f"`{name}`", limits, *chinese.SETTINGS[name]))
    return rows


def lamps() -> str:
    """Gravest first, with the generic board's light over two seconds."""
    rows = []
    for name, told in reversed(chinese.LAMPS.items()):
        number = getattr(lamp, name)
        light = "".join("●" if lights.SIGNALS[number] >> step & 1 else "·" for step in range(16))
        condition, translated, remedy, translated_remedy = told
        cell = "-" if remedy == "-" else f"{remedy}<br>{translated_remedy}"
        rows.append((number, f"`{light}`", condition, translated, cell))
    return table(("code", "light 灯形", "condition", "状态", "what to do 处理"), rows)


def log_codes() -> str:
    rows = []
    for name, (what, translated, remedy, translated_remedy) in chinese.LOGS.items():
        cell = "-" if remedy == "-" else f"{remedy}<br>{translated_remedy}"
        rows.append((getattr(log, name), f"`{name}`", what, translated, cell))
    return table(("code", "name", "what: numbers", "内容", "what to do 处理"), rows)


def device_faults(kinds: Iterable[Kind]) -> str:
    """Fields of a text are shown in capitals: they stand for what the line says."""

    def plain(text: str) -> str:
        return re.sub(r"{(\w+)}", lambda found: found[1].upper(), text)

    rows = [
        (
            f"`{kind.name}`",
            kind.exit_code,
            "<br>".join(
                plain(text).removeprefix("PORT: ").removeprefix("PORT：") for text in kind.what
            ),
            "<br>".join(map(plain, kind.remedy)),
        )
        for kind in kinds
    ]
    return table(("name", "exit 退出码", "what 现象", "what to do 处理"), rows)


def modbus_exceptions() -> str:
    rows = [(code, *words) for code, words in map_faults.EXCEPTIONS.items()]
    return table(("code", "exception", "异常"), rows)


SETTINGS_HEADS = ("number", "key", "bounds", "meaning", "含义")


def settings_module() -> str:
    return table(SETTINGS_HEADS, settings_rows(settings._MODULE_CHECKS))


def settings_point() -> str:
    return table(SETTINGS_HEADS, settings_rows(settings._POINT_CHECKS))


def explained(
    heads: Sequence[str],
    english: Mapping[int, str],
    translated: Mapping[int, tuple[str, ...]],
) -> str:
    rows = [(number, word, *translated[number]) for number, word in english.items()]
    return table(heads, rows)


def checks() -> str:
    rows = []
    for code, each in vee.CHECKS.items():
        severity = f"{each.severity} {vee.SEVERITIES_ZH[each.severity]}"
        asked = "<br>".join(f"{action} {vee.ACTIONS_ZH[action]}" for action in each.actions)
        rows.append((code, f"{each.name} {each.name_zh}", each.rule, severity, asked))
    return table(("code", "check 检查", "rule 规则", "severity 等级", "action 处理"), rows)


def limit_rows() -> str:
    defaults = limits.Limits()
    rows = [
        (f"`{name}`", check, getattr(defaults, name), f"{english} {translated}", origin)
        for name, (check, origin, english, translated) in limits.WORDS.items()
    ]
    return table(("key", "check", "default", "what 含义", "origin of the default"), rows)


def interval_qualities() -> str:
    rows = []
    for code, told in chinese.INTERVAL_QUALITIES.items():
        number = records.QUALITY[code]
        rows.append((f"`{code}`", *told, number if number >= 0 else "left out 省略"))
    return table(("code", "meaning", "含义", "Green Button"), rows)


def review_table() -> str:
    """Every pair of state and event, those that are refused among them."""
    rows = []
    for (state, event), found in review.TABLE.items():
        after, what = found or ("-", "-")
        rows.append(
            (
                f"{state} {review.STATES_ZH[state]}",
                f"{event} {review.EVENTS_ZH[event]}",
                f"{after} {review.STATES_ZH[after]}" if found else "-",
                f"{what} {chinese.REVIEW_ACTIONS[what]}" if found else "refused 拒绝",
            )
        )
    return table(("state 状态", "event 事件", "next 次态", "intervals 时段"), rows)


def audit_rules() -> str:
    rows = [
        (f"{name} {each.name_zh}", each.rule, f"{each.failure} {chinese.AUDIT[each.failure]}")
        for name, each in audit.RULES.items()
    ]
    return table(("rule 规则", "what holds", "else 否则"), rows)


def fee_table() -> str:
    """Every pair of what stands and what comes, in the order of the code."""
    rows = []
    for (state, event), (after, action) in fee_control.TABLE.items():
        stays = after == state and action == fee_control.KEEP
        shown = "as before 恢复原状" if after == fee_control.BEFORE else fee_word(after)
        rows.append(
            (
                fee_word(state),
                f"{event} {fee_control.EVENTS[event]}",
                "-" if stays else shown,
                "-" if stays else f"{action} {fee_control.ACTIONS[action]}",
            )
        )
    return table(("stands 现状", "event 事件", "next 次态", "action 动作"), rows)


def fee_word(state: str) -> str:
    return f"{state} {fee_control.STATES[state]}"


def fee_refusals() -> str:
    """Which order a condition forbids; a total matrix, because what has no mark may pass."""
    kinds = fee_control.KINDS
    heads = ["order 命令", *fee_control.REFUSALS]
    rows = [
        (
            f"{kind} {translated}",
            *("✗" if kind in row.orders else "-" for row in fee_control.REFUSALS.values()),
        )
        for kind, translated in kinds.items()
    ]
    return table(heads, rows)


def fee_lines() -> str:
    rows = [(name, row.text, row.text_zh) for name, row in fee_control.REFUSALS.items()]
    return table(("condition", "what is said", "提示"), rows)


def order_kinds() -> str:
    rows = [
        (f"`{name}`", kind.help, chinese.ORDERS[name], "yes 是" if kind.referenced else "-")
        for name, kind in ordering.ALL.items()
    ]
    return table(("kind", "what", "用途", "needs `--reference`"), rows)


def order_states() -> str:
    rows = [(f"`{state}`", translated) for state, translated in ordered.STATES.items()]
    rows += [
        (f"`{state}` (update)", translated) for state, translated in rollout.STATES_ZH.items()
    ]
    return table(("state", "状态"), rows)


def adjustments() -> str:
    rows = [(number, f"`{name}`", word) for name, (number, word) in ADJUSTMENTS.items()]
    return table(("class on the wire", "--class", "类别"), rows)


def obis_codes() -> str:
    rows = [(f"`{code}`", *told) for code, told in obis.KNOWN.items()]
    return table(("OBIS", "unit", "quantity", "量"), rows)


def meter_file_example() -> str:
    """The example in the docstring of the module that reads it."""
    example = textwrap.dedent((meter_file.__doc__ or "").split("\n\n")[1])
    return f"```toml\n{example}\n```\n"


def provision_steps() -> str:
    rows = [(number, f"`{name}`", *told) for number, (name, *told) in enumerate(STEPS, 1)]
    return table(("number", "step", "what is checked", "检查内容"), rows)


def provision_faults() -> str:
    rows = [(each.exit_code, each.name, "<br>".join(each.remedy)) for each in faults.KINDS]
    return table(("exit code 退出码", "fault 故障", "what to do 处理"), rows)


def lab_faults() -> str:
    rows = [(f"`{name}`", each.english, each.chinese) for name, each in FAULTS.items()]
    return table(("fault", "what", "故障"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "provision-steps": provision_steps,
    "provision-faults": provision_faults,
    "lab-faults": lab_faults,
    "relay-table": relay_table,
    "relay-events": relay_events,
    "relay-ranks": relay_ranks,
    "relay-rules": lambda: worded(words.RELAY_RULES, chinese.RELAY_RULES),
    "relay-states": lambda: worded(words.RELAY_STATES, chinese.RELAY_STATES),
    "relay-times": relay_times,
    "zones": zones,
    "message-kinds": message_kinds,
    "actions": actions,
    "relay-orders": lambda: worded(words.RELAY_ORDERS, chinese.RELAY_ORDERS),
    "statuses": lambda: worded(words.STATUSES, chinese.STATUSES),
    "events": events,
    "verdicts": lambda: worded(words.VERDICTS, chinese.VERDICTS),
    "supply": lambda: explained(
        ("what", "word", "中文", "limit, time, extreme"), words.SUPPLY, chinese.SUPPLY
    ),
    "tampers": lambda: explained(
        ("kind", "word", "中文", "begins"), words.TAMPERS, chinese.TAMPERS
    ),
    "plans": lambda: explained(
        ("plan", "word", "中文", "reads", "tells"), words.PLANS, chinese.PLANS
    ),
    "entries": lambda: worded(words.ENTRIES, chinese.ENTRIES),
    "qualities": lambda: worded(words.QUALITIES, chinese.QUALITIES),
    "reasons": reasons,
    "differences": differences,
    "settings-module": settings_module,
    "settings-point": settings_point,
    "lamps": lamps,
    "outcomes": lambda: worded(words.OUTCOMES, chinese.OUTCOMES),
    "update-reasons": lambda: worded(words.UPDATE_REASONS, chinese.UPDATE_REASONS),
    "checks": checks,
    "limits": limit_rows,
    "interval-qualities": interval_qualities,
    "review": review_table,
    "audit": audit_rules,
    "fee-table": fee_table,
    "fee-refusals": fee_refusals,
    "fee-lines": fee_lines,
    "order-kinds": order_kinds,
    "order-states": order_states,
    "adjustments": adjustments,
    "obis": obis_codes,
    "meter-file": meter_file_example,
    "log-codes": log_codes,
    "faults-flash": lambda: device_faults(flash_faults.KINDS),
    "faults-maps": lambda: device_faults(map_faults.KINDS),
    "modbus-exceptions": modbus_exceptions,
    "crashes": lambda: worded(words.CRASHES, chinese.CRASHES),
}


def pages() -> list[Path]:
    return [*(ROOT / name for name in READMES), *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A page with every generated table as the code has it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


TRANSCRIPT = re.compile(r"(<!-- transcript -->\n```text\n).*?(```\n<!-- end -->)", re.DOTALL)


def transcript(text: str) -> str:
    """What a page shows of `make demo`; empty when it shows nothing."""
    found = TRANSCRIPT.search(text)
    return found[0].split("```text\n")[1].split("```")[0] if found else ""


def main(arguments: list[str]) -> int:
    told = None
    if arguments:
        told = Path(arguments[0]).read_text(encoding="utf-8").strip() + "\n"
        if PASSED not in told or f"NOT {PASSED.split(maxsplit=1)[0]}" in told:
            print(f"{arguments[0]}: not a demo that passed", file=sys.stderr)
            return 1
    for page in pages():
        text = filled(page.read_text(encoding="utf-8"))
        if told and page.name in READMES:
            text = TRANSCRIPT.sub(lambda found: f"{found[1]}{told}{found[2]}", text)
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
