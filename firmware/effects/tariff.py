"""TARIFF: charge up to here under the old book, then keep the new one. Versions only rise."""

from firmware import config
from firmware.point import shared
from protocol import codes


def apply(commands, point, command):
    if len(command.args) != 1:
        return codes.REFUSED_FIELD
    from protocol import tariff_book

    book = tariff_book.from_wire(command.args[0])
    tariff_book = None  # given back before there is an entry to make
    config.forget("tariff_book")
    if book.version <= point.book.version:
        return codes.ALREADY
    commands.metering.charge_now(point)
    config.save_book(commands.root, point.number, command.args[0])
    point.book = shared(book, commands.points.values())
    commands.events.add(codes.TARIFF_SET, point.number, book.version)
    return commands.finish(point, point.plain(), command)
