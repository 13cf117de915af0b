"""STATE: a statement now."""

from protocol import codes


def apply(commands, point, command):
    commands.on_statement(point)
    return codes.DONE
