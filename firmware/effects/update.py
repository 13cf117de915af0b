"""UPDATE: a new program, file by file into the copy that does not run, checked as a whole, armed.

The list of files comes first and is what BEGIN vouches for: its version, then a line for each file
with path, bytes and SHA-256. A chunk is durable before it is answered, so that an answer names
where to go on, after a restart too; an update is a hundred appends, a quarter of an erase for each
block of the file system. What runs is never touched, nor anything but firmware, protocol, boards.
"""

import gc
import hashlib
import os
import sys
from binascii import hexlify

from firmware import config, slots
from firmware.uplink import FIRMWARE
from protocol import codes
from protocol.units import BAD_FIELD, MODULE_TARGET, Malformed

CHUNK_BYTES_MAX = 1024
LIST_BYTES_MAX = 16384
FILE_BYTES_MAX = 262144
PATH_CHARS_MAX = 64
RESERVE_BLOCKS = 32  # of the file system, for what waits in the outbox
FOLDERS = ("firmware/", "protocol/", "boards/")


class Refused(Exception):
    """An update that cannot go on; the argument is the reason in codes."""


def apply(commands, point, command):
    gc.collect()  # a small heap has just taken this file and a chunk
    root = commands.root
    trusted, trial, _ = slots.read(root)
    if trial != slots.NONE:
        return codes.REFUSED_BUSY  # until that is decided
    update = Update(commands, "b" if trusted == "a" else "a")
    steps = {
        codes.BEGIN: (update.begin, (int, int, int, bytes, int)),
        codes.CHUNK: (update.chunk, (int, int, bytes)),
        codes.FINISH: (update.finish, ()),
        codes.ABORT: (update.wipe, ()),
    }
    args = command.args
    if not args or args[0] not in steps:
        return codes.REFUSED_FIELD
    step, kinds = steps[args[0]]
    args = args[1:]
    if len(args) != len(kinds) or not all([type(a) is k for a, k in zip(args, kinds)]):
        return codes.REFUSED_FIELD
    try:
        status = step(*args)
    except (Refused, OSError) as error:
        reason = error.args[0]
        if isinstance(error, OSError):
            if reason not in config.NO_ROOM:
                raise
            reason = codes.NO_SPACE
        commands.events.add(codes.UPDATED, command.target, codes.REFUSED, update.version, reason)
        if reason != codes.INCOMPLETE:
            update.wipe()
        status = codes.REFUSED_FIELD
    commands.finish_module(command)
    return status or codes.DONE


def running():
    """The version that runs, as updates count: major, minor and patch of a byte each."""
    major, minor, patch = [int(part) for part in FIRMWARE.split(".")]
    return major << 16 | minor << 8 | patch


def hashed(path):
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    buffer = bytearray(512)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        size = file.readinto(buffer)
        while size:
            digest.update(view[:size])
            size = file.readinto(buffer)
    return hexlify(digest.digest()).decode()


def size_of(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


class Update:
    """What has arrived for one copy; all of it is on the file system."""

    def __init__(self, commands, copy):
        self.commands = commands
        self.copy = copy
        self.folder = commands.root + "/" + copy
        self.version = 0
        self.list_bytes = 0
        self.list_hash = ""
        try:
            begun = config.read(self.folder, "/begun").decode().split()
            self.version, self.list_bytes, self.list_hash = int(begun[0]), int(begun[1]), begun[2]
        except (Malformed, ValueError, IndexError):
            pass  # nothing has begun

    def begin(self, version, mpy, list_bytes, list_hash, blocks):
        digest = hexlify(list_hash).decode()
        if (version, list_bytes, digest) == (self.version, self.list_bytes, self.list_hash):
            self.say_next()
            return codes.DONE
        self.version = version
        if version <= running():
            raise Refused(codes.BAD_VERSION)
        if mpy != getattr(sys.implementation, "_mpy", 6) & 0xFF:
            raise Refused(codes.BAD_MPY)
        if not 0 < list_bytes <= LIST_BYTES_MAX:
            raise Refused(codes.BAD_FILE)
        self.wipe()
        if os.statvfs(self.commands.root or "/")[3] < blocks + RESERVE_BLOCKS:
            raise Refused(codes.NO_SPACE)
        make_folders(self.folder + "/begun")
        config.write(self.folder, "/begun", ("%d %d %s" % (version, list_bytes, digest)).encode())
        return codes.DONE

    def wipe(self):
        """Nothing has begun any more, in name first: a cut leaves nothing to go on with."""
        if size_of(self.folder + "/begun"):
            os.remove(self.folder + "/begun")
        remove_all(self.folder)

    def files(self):
        """(number, path, bytes, SHA-256) of every file of the list, which is number 0."""
        yield 0, "files", self.list_bytes, self.list_hash
        number = 0
        with open(self.folder + "/files") as file:
            file.readline()
            line = file.readline()
            while line:
                number += 1
                path, size, digest = parsed(line)
                yield number, path, size, digest
                line = file.readline()

    def say_next(self):
        """Where to go on, as detail of the answer; all there: one more than the last file."""
        number = 0
        for number, path, size, _ in self.files():
            have = size_of(self.folder + "/" + path)
            if have < size:
                self.commands.detail = number << 20 | have
                return False
        self.commands.detail = (number + 1) << 20
        return True

    def chunk(self, number, offset, data):
        if not self.version or not 0 < len(data) <= CHUNK_BYTES_MAX:
            return codes.REFUSED_FIELD
        if number and size_of(self.folder + "/files") < self.list_bytes:
            self.say_next()
            return codes.REFUSED_FIELD
        for at, path, size, digest in self.files():
            if at == number:
                return self.append(number, path, size, digest, offset, data)
        return codes.REFUSED_FIELD

    def append(self, number, path, size, digest, offset, data):
        path = self.folder + "/" + path
        have = size_of(path)
        after = offset + len(data)
        if offset != have or after > size:
            self.commands.detail = (number + 1) << 20 if have >= size else number << 20 | have
            return codes.ALREADY if after <= have else codes.REFUSED_FIELD
        if not have:
            make_folders(path)
        with open(path, "ab") as file:
            file.write(data)
        if after == size:
            if hashed(path) != digest:
                raise Refused(codes.BAD_HASH)
            if not number:
                check_list(self)
            number, after = number + 1, 0
        self.commands.detail = number << 20 | after
        return codes.DONE

    def finish(self):
        """Look at every byte once more, then let the next start try it."""
        if not self.version:
            return codes.REFUSED_FIELD
        if not self.say_next():
            raise Refused(codes.INCOMPLETE)
        for _, path, _, digest in self.files():
            if hashed(self.folder + "/" + path) != digest:
                raise Refused(codes.BAD_HASH)
        commands = self.commands
        slots.write(commands.root, slots.read(commands.root)[0], self.copy, slots.TRIES)
        commands.events.add(codes.UPDATED, MODULE_TARGET, codes.ARMED, self.version, 0)
        commands.metering.health.restart = True
        return codes.DONE


def check_list(update):
    try:
        if slots.version(update.commands.root, update.copy) != update.version:
            raise Refused(codes.BAD_VERSION)
        for _ in update.files():
            pass
    except Malformed:
        raise Refused(codes.BAD_FILE)


def parsed(line):
    """(path, bytes, SHA-256) of a line of the list, or Malformed."""
    fields = line.split()
    if len(fields) != 3 or not fields[1].isdigit() or len(fields[2]) != 64:
        raise Malformed(BAD_FIELD, "list of files")
    path, size = fields[0], int(fields[1])
    allowed = any([path.startswith(folder) for folder in FOLDERS]) and path.endswith(".mpy")
    if not allowed or ".." in path or len(path) > PATH_CHARS_MAX or not 0 < size <= FILE_BYTES_MAX:
        raise Malformed(BAD_FIELD, "list of files")
    return path, size, fields[2]


def make_folders(path):
    """The folders above a file, as far as they are missing."""
    at = path.find("/", 1)
    while at > 0:
        if not slots.exists(path[:at]):
            os.mkdir(path[:at])
        at = path.find("/", at + 1)


def remove_all(folder):
    if not slots.exists(folder):
        return
    for name in os.listdir(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            remove_all(path)
        else:
            os.remove(path)
    os.rmdir(folder)
