"""KEY: a new root key, worked out of the present one and in use at once.

Its file is replaced as a whole before anything else. A cut behind that is no matter: the host
hears the new key and says the command again under it, which is answered as done already.
"""

from firmware import config
from protocol import codes, cose, rekey


def apply(commands, point, command):
    """[salt, check of the new key]"""
    args = command.args
    if len(args) != 2 or not all([type(value) is bytes for value in args]):
        return codes.REFUSED_FIELD
    salt, wanted = args
    key = config.root_key(commands.root)
    if rekey.check(key) == wanted:
        commands.finish_module(command)
        return codes.ALREADY
    key = rekey.next_root(key, salt)
    if len(salt) != rekey.SALT_BYTES or rekey.check(key) != wanted:
        return codes.REFUSED_FIELD
    config.write(commands.root, config.KEY, key)
    uplink = commands.uplink
    uplink.mac_before = uplink.mac_down  # for what is under way
    uplink.mac_up = cose.Mac(cose.derive(key, cose.UP))
    uplink.mac_down = cose.Mac(cose.derive(key, cose.DOWN))
    return commands.finish_module(command)
