"""The identities that one chip has had, one after another; a lost one is never made again.

Storage that was lost takes the ledger with it: its name and key go on for nobody. The chip begins
anew under another name, and `gridpurse module replace` moves what the host has settled.
"""

from dataclasses import replace

from host_tools.provisioning.faults import EXISTING, ORDER, SERIAL
from host_tools.provisioning.order import Order
from host_tools.provisioning.record import Record
from host_tools.settlement import settle
from host_tools.store import care
from host_tools.store.database import Store


def begun(store: Store, record: Record | None, order: Order, chip: str, now_s: int) -> Record:
    """Where an order with `was` stands: it goes on, or the chip's next life begins.

    Fault when the chip was not that module, or when something of that module had nowhere to go.
    """
    was = order.was
    if record is not None and record.module == order.module and was in record.names():
        return record
    if record is None or record.module != was:
        there = "not on record" if record is None else f"{record.module} 登记为 {record.module}"
        raise SERIAL.seen(
            f"--was {was}: this chip, {chip}, is {there} 芯片登记不符",
            ("look at what is on the cable, or leave --was out", "请核对所接模块，或去掉 --was"),
        )
    _refuse_homeless(store, order)
    before = [*record.before, replace(record, before=[])]
    return Record(record.serial, order.module, chip, order.digest(), now_s, before=before)


def _refuse_homeless(store: Store, order: Order) -> None:
    """What the lost module's points hold has to have somewhere to go."""
    if ended(store, order.was):
        return
    points = {each.point: each.book.currency for each in order.points}
    for point in store.fleet.points(order.was):
        if points.get(point.point) != point.currency:
            name, number = f"{order.was}/{point.point}", point.point
            raise ORDER.seen(
                f"{name}: {order.module} has no such point in {point.currency} 用电点或币种不符",
                (
                    f"add --point {number}=..., or end {order.was} with gridpurse module first",
                    f"请加 --point {number}=...，或先用 gridpurse module 停用 {order.was}",
                ),
            )


def ended(store: Store, name: str) -> str:
    """Why nothing is made of a name any more, in both languages; empty while it may be."""
    module = store.fleet.module(name)
    points = [] if module is None else store.fleet.points(name)
    found = [care.of(store).successor(point) for point in points]
    return next((why for why in found if why is not None), "")


def refuse_ended(store: Store, name: str) -> None:
    """The key of an identity that was given up or replaced goes to no module again."""
    why = ended(store, name)
    if why:
        raise EXISTING.seen(f"{name}: {why}", another_name(name))


def refuse_lost(store: Store, name: str) -> None:
    """A commissioned module that has begun another ledger beside the settled one."""
    for point in store.fleet.points(name):
        kinds = {each.kind for each in store.ledgers.differences(point.id)}
        if settle.ROLLBACK in kinds and not ended(store, name):
            raise EXISTING.seen(
                f"{name}/{point.point}: {settle.ROLLBACK}, its storage was lost 存储回退",
                again(name),
            )


def another_name(name: str) -> tuple[str, str]:
    return (
        f"the key of {name} is never written again: give this module another --module",
        f"{name} 的密钥不再写入任何模块，请另取 --module",
    )


def again(was: str) -> tuple[str, str]:
    """The one way on for a chip that was `was` and has lost its storage, or shall be erased."""
    erase = "gridpurse flash --erase-journal MAC --erase-files MAC"
    english, chinese = anew(was)
    return f"make it bare with {erase}, then {english}", f"请用 {erase} 清空，然后{chinese}"


def anew(was: str) -> tuple[str, str]:
    """The same where the chip is bare already."""
    words = f"gridpurse module replace {was} NEW"
    return (
        f"provision it under a new name, --module NEW --was {was}, and say {words}",
        f"以新名称配置（--module NEW --was {was}），再执行 {words}",
    )


def elsewhere(name: str) -> tuple[str, str]:
    """For a chip that never was the module in service whose name it should get."""
    words = f"gridpurse module replace {name} NEW"
    return (
        f"give this chip a new name, --module NEW, and say {words}",
        f"请为本芯片另取名称（--module NEW），再执行 {words}",
    )


def onward(store: Store, order: Order) -> str:
    """The command that comes after commissioning a chip that was another module; empty: none."""
    module = store.fleet.module(order.was) if order.was else None
    if module is None or module.retired_s is not None:
        return ""
    if ended(store, order.was):
        words = f"retire {order.was}"
    else:
        words = f"replace {order.was} {order.module}"
    return f"next 下一步: gridpurse module {words} --by NAME --reason TEXT"
