# runs on: cpython micropython
"""Updates: file by file beside what runs, checked as a whole, tried, confirmed or rolled back."""

import asyncio
import hashlib
import os
import sys
from binascii import hexlify

from boards import start
from boards.virtual import flash
from firmware import life, slots
from protocol import cbor, codes, messages
from protocol.units import MODULE_TARGET
from tests.firmware import desk as desks

HARD, WATCHDOG = 2, 3
MPY = getattr(sys.implementation, "_mpy", 6) & 0xFF
VERSION = 0x000200
FILES = (
    ("firmware/main.mpy", bytes([0x4D, MPY, 0, 31]) + bytes(range(256)) * 9),
    ("firmware/meters/modbus.mpy", b"M" * 1024),
    ("protocol/units.mpy", b"units"),
)


def listing(files=FILES, version=VERSION):
    lines = ["%d" % version]
    for path, content in files:
        digest = hexlify(hashlib.sha256(content).digest()).decode()
        lines.append("%s %d %s" % (path, len(content), digest))
    return ("\n".join(lines) + "\n").encode()


def steps(files=FILES, version=VERSION, listed=None, mpy=MPY, blocks=4):
    """Arguments of all commands of an update."""
    listed = listed or listing(files, version)
    digest = hashlib.sha256(listed).digest()
    out = [[codes.BEGIN, version, mpy, len(listed), digest, blocks]]
    for number, content in enumerate([listed] + [content for _, content in files]):
        for offset in range(0, len(content), 1024):
            out.append([codes.CHUNK, number, offset, content[offset : offset + 1024]])
    return out + [[codes.FINISH]]


class Site:
    """A commissioned module and the host that sends it update commands."""

    def __init__(self, name):
        self.desk = desks.Desk(desks.folder("update-" + name))
        self.root = self.desk.root
        wipe(self.root + "/a")
        wipe(self.root + "/b")
        desks.provision(self.root, [desks.point_settings()], desks.flat_book())
        self.id = 0
        self.boot(1)

    def boot(self, cause=HARD):
        """What the loader and then the firmware do at a start. -> the copy that runs"""
        self.desk.now_ms += 5000
        self.copy = start.choose(self.root, cause)
        _, self.firmware = self.desk.power_on(cause=cause, copy=self.copy)
        asyncio.run(self.firmware.metering.poll())
        return self.copy

    def send(self, args, command_id=None):
        """-> (status, detail) of the answer."""
        if command_id is None:
            self.id += 1
            command_id = self.id
        command = messages.Command(command_id, MODULE_TARGET, codes.UPDATE, 0, 1 << 33, args)
        self.firmware.commands.take(command)
        values = self.records()[-1]
        assert values[3] == 1
        return values[4][3], values[4][4]

    def send_all(self, some):
        return [self.send(args)[0] for args in some]

    def records(self):
        outbox = self.firmware.outbox
        return [cbor.decode(record) for _, record in outbox.take(8, outbox.acked.get(8, 0), 1000)]

    def told(self):
        """Arguments of the UPDATED events that wait."""
        return [v[4][4] for v in self.records() if v[3] == 0 and v[4][2] == codes.UPDATED]

    def wait(self, ms):
        """-> True when the module restarted at the end of it."""
        self.desk.now_ms += ms
        self.firmware.health.beat("metering")
        try:
            self.firmware.health.look()
        except SystemExit:
            return True
        return False


def wipe(folder):
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if os.stat(folder + "/" + name)[0] & 0x4000:
            wipe(folder + "/" + name)
        else:
            os.remove(folder + "/" + name)
    os.rmdir(folder)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def armed(name):
    site = Site(name)
    assert set(site.send_all(steps())) == {codes.DONE}
    assert site.wait(10000)
    return site


def test_an_update_is_delivered_tried_and_confirmed():
    site = armed("whole")
    for path, expected in FILES:
        assert content(site.root + "/a/" + path) == expected
    assert site.told() == [[codes.ARMED, VERSION, 0]]
    assert site.boot() == "a"
    assert not site.wait(299000)
    assert slots.read(site.root) == ("-", "a", 2)
    site.firmware.uplink.heard = True
    assert not site.wait(2000)
    assert slots.read(site.root) == ("a", "-", 0)
    assert site.told()[-1] == [codes.CONFIRMED, VERSION, 0]
    assert site.boot(1) == "a"
    assert site.told()[-1] == [codes.CONFIRMED, VERSION, 0]
    assert start.proved(site.root, "a")


def test_a_trusted_program_that_did_not_begin_any_more_is_told_once_by_the_other():
    site = armed("worn")
    site.boot()
    site.firmware.uplink.heard = True
    site.wait(301000)
    for _ in range(start.TRIES):
        assert start.choose(site.root, WATCHDOG) == "a"
    assert site.boot(WATCHDOG) == "-" and not start.proved(site.root, "a")
    assert site.told()[-1] == [codes.ROLLED_BACK, VERSION, codes.NO_START]
    told = len(site.told())
    assert site.boot(HARD) == "-" and len(site.told()) == told


def test_a_trial_that_crashes_three_times_is_rolled_back_and_told_once():
    site = armed("crash")
    for _ in range(3):
        assert site.boot(WATCHDOG) == "a"
    assert site.boot(WATCHDOG) == "-"
    assert not site.firmware.safe
    assert site.told()[-1] == [codes.ROLLED_BACK, VERSION, 0]
    count = len(site.told())
    assert site.boot(1) == "-" and len(site.told()) == count


def test_a_trial_that_meters_but_never_hears_the_host_is_rolled_back_after_an_hour():
    site = armed("deaf")
    site.boot()
    assert not site.wait(3599000)
    assert site.wait(2000)
    assert site.boot() == "-"
    assert site.told()[-1] == [codes.ROLLED_BACK, VERSION, 0]


def test_the_next_update_goes_into_the_other_copy():
    site = armed("other")
    site.boot()
    site.firmware.uplink.heard = True
    site.wait(301000)
    assert set(site.send_all(steps(version=VERSION + 1))) == {codes.DONE}
    assert slots.read(site.root) == ("a", "b", 3)
    assert content(site.root + "/a/" + FILES[0][0]) == FILES[0][1]


def test_an_interrupted_update_goes_on_where_it_stopped():
    site = Site("resume")
    all_steps = steps()
    site.send_all(all_steps[:3])
    site.boot(1)
    status, detail = site.send(all_steps[0])
    assert status == codes.DONE
    number, offset = detail >> 20, detail & 0xFFFFF
    rest = [s for s in all_steps[1:] if s[0] == codes.FINISH or (s[1], s[2]) >= (number, offset)]
    assert len(rest) == len(all_steps) - 3
    assert set(site.send_all(rest)) == {codes.DONE}


def test_every_answer_names_what_is_next():
    site = Site("next")
    details = [site.send(args)[1] for args in steps()[:-1]]
    listed = len(listing())
    assert details[:3] == [0, 1 << 20, 1 << 20 | 1024] and listed < 1024
    assert details[-1] == 4 << 20


def test_a_chunk_that_comes_twice_is_written_once():
    site = Site("twice")
    every = steps()
    site.send_all(every[:3])
    assert site.send(every[2])[0] == codes.ALREADY  # under a new id
    assert site.send(every[2], command_id=3)  # the same command again: answered, not applied
    assert set(site.send_all(every[3:])) == {codes.DONE}


def test_a_chunk_out_of_order_is_refused_with_what_is_next():
    site = Site("order")
    every = steps()
    site.send_all(every[:2])
    assert site.send(every[3]) == (codes.REFUSED_FIELD, 1 << 20)
    assert site.send([codes.CHUNK, 99, 0, b"x"])[0] == codes.REFUSED_FIELD


def refused(site, reason, version=VERSION):
    assert site.told()[-1] == [codes.REFUSED, version, reason]
    assert slots.read(site.root) == ("-", "-", 0)
    assert site.boot(1) == "-"


def test_a_version_that_is_not_newer_is_refused():
    site = Site("version")
    assert site.send(steps(version=0x000100)[0])[0] == codes.REFUSED_FIELD
    refused(site, codes.BAD_VERSION, 0x000100)


def test_code_for_another_interpreter_is_refused():
    site = Site("mpy")
    assert site.send(steps(mpy=MPY + 1)[0])[0] == codes.REFUSED_FIELD
    refused(site, codes.BAD_MPY)


def test_an_update_larger_than_the_free_space_is_refused():
    site = Site("space")
    assert site.send(steps(blocks=1 << 40)[0])[0] == codes.REFUSED_FIELD
    refused(site, codes.NO_SPACE)


def test_a_file_that_is_not_what_the_list_says_is_refused():
    site = Site("hash")
    wrong = (FILES[0], (FILES[1][0], b"X" * 1024), FILES[2])
    statuses = site.send_all(steps(wrong, listed=listing()))
    assert codes.REFUSED_FIELD in statuses and statuses[-1] == codes.REFUSED_FIELD
    refused(site, codes.BAD_HASH)


def test_a_file_that_changed_after_it_arrived_is_refused_at_the_end():
    site = Site("rot")
    site.send_all(steps()[:-1])
    with open(site.root + "/a/protocol/units.mpy", "wb") as file:
        file.write(b"stinu")
    assert site.send([codes.FINISH])[0] == codes.REFUSED_FIELD
    refused(site, codes.BAD_HASH)


def test_a_truncated_update_is_refused_and_can_go_on():
    site = Site("truncated")
    site.send_all(steps()[:-2])
    assert site.send([codes.FINISH]) == (codes.REFUSED_FIELD, 3 << 20)
    assert site.told()[-1] == [codes.REFUSED, VERSION, codes.INCOMPLETE]
    assert site.send_all(steps()[-2:]) == [codes.DONE, codes.DONE]


def test_a_list_that_names_other_places_is_refused():
    for number, path in enumerate(
        ("main.mpy", "firmware/../../key.bin.mpy", "lib/x.mpy", "/firmware/x.mpy", "firmware/x.py")
    ):
        site = Site("place%d" % number)
        site.send_all(steps(((path, b"x"),))[:2])
        refused(site, codes.BAD_FILE)


def test_a_list_of_another_version_is_refused():
    site = Site("listed")
    site.send_all(steps(listed=listing(version=VERSION + 1))[:2])
    refused(site, codes.BAD_VERSION)


def test_arguments_of_a_wrong_shape_change_nothing():
    site = Site("shape")
    for args in (
        [],
        [9],
        [codes.BEGIN],
        [codes.BEGIN, 1, 6, 100, "text", 1],
        [codes.CHUNK, 0, 0, b"x"],  # nothing has begun
        [codes.CHUNK, 0, -1, b"x"],
        [codes.CHUNK, 0, 0, b""],
        [codes.CHUNK, True, 0, b"x"],
        [codes.FINISH],
        [codes.FINISH, 1],
    ):
        assert site.send(args)[0] == codes.REFUSED_FIELD, args
    site.send(steps()[0])
    assert site.send([codes.CHUNK, 0, 0, bytes(1025)])[0] == codes.REFUSED_FIELD
    assert site.told() == []


def test_an_abort_leaves_nothing():
    site = Site("abort")
    site.send_all(steps()[:4])
    assert site.send([codes.ABORT])[0] == codes.DONE
    try:
        os.stat(site.root + "/a")
        gone = False
    except OSError:
        gone = True
    assert gone and site.send(steps()[2])[0] == codes.REFUSED_FIELD


def test_while_one_update_is_tried_no_other_begins():
    site = armed("busy")
    site.boot()
    assert site.send(steps(version=VERSION + 1)[0])[0] == codes.REFUSED_BUSY


def test_updating_changes_no_balance():
    site = Site("money")
    site.id += 1
    site.firmware.commands.take(
        messages.Command(site.id, 0, codes.TOPUP, 0, 1 << 33, [2, 0, 5 * desks.CUR])
    )
    state = site.firmware.points[0].state
    site.send_all(steps())
    site.wait(10000)
    site.boot()
    assert site.firmware.points[0].state == state


def test_the_loader_counts_a_start_before_it_begins():
    root = desks.folder("update-loader")
    desks.clean(root)
    assert start.choose(root) == "-"
    slots.write(root, "-", "b", 3)
    assert [start.choose(root) for _ in range(5)] == ["b", "b", "b", "-", "-"]
    assert slots.read(root) == ("-", "b", 0)
    slots.write(root, "b")
    assert start.choose(root) == "b"
    with open(root + "/slot", "w") as file:
        file.write("garbage")
    assert start.choose(root) == "-"


def proven(root, copy):
    """What an update leaves of a copy that was trusted."""
    os.mkdir(root + "/" + copy)
    for name in ("/begun", "/trusted"):
        with open(root + "/" + copy + name, "w") as file:
            file.write("")


def fresh(name):
    root = desks.folder(name)
    desks.clean(root)
    for copy in ("a", "b"):
        wipe(root + "/" + copy)
    return root


def test_what_does_not_begin_after_a_reset_gives_way_to_what_was_trusted_before():
    root = fresh("update-failing")
    proven(root, "a")
    proven(root, "b")
    slots.write(root, "a")
    assert [start.choose(root, HARD) for _ in range(4)] == ["a", "a", "a", "b"]
    assert slots.read(root) == ("b", "-", 0) and slots.counted(root) == "a"
    assert [start.choose(root, WATCHDOG) for _ in range(4)] == ["b", "b", "b", "-"]
    assert [start.choose(root, HARD) for _ in range(9)] == ["-"] * 9
    assert start.failures(root, "-") == 9


def test_a_copy_that_an_update_is_replacing_takes_over_from_nobody():
    root = fresh("update-replaced")
    proven(root, "a")
    proven(root, "b")
    os.remove(root + "/b/begun")  # the first that goes, see Update.wipe
    slots.write(root, "a")
    assert [start.choose(root, HARD) for _ in range(4)][3] == "-"


def test_power_cuts_at_the_start_are_no_failures():
    root = fresh("update-flicker")
    proven(root, "b")
    slots.write(root, "a")
    for cause in (1, 4, 5, 6):
        assert [start.choose(root, cause) for _ in range(9)] == ["a"] * 9


def test_a_start_that_begins_or_says_what_is_wrong_is_no_failure():
    site = Site("begins")
    for _ in range(9):
        assert site.boot(HARD) == "-" and slots.counted(site.root) is None
    os.rename(site.root + "/key.bin", site.root + "/key")
    for _ in range(9):
        assert start.choose(site.root, HARD) == "-"
        task = life.hold(Held(site.desk), "-")
        try:
            asyncio.run(task)
        except Waited:
            pass
        assert slots.counted(site.root) is None


class Waited(Exception):
    pass


class Held(desks.Board):
    """A board whose hold is over before it begins."""

    def __init__(self, desk):
        super().__init__(desk, True, flash.Power())

    def ticks_ms(self):
        raise Waited


def test_the_relays_hold_up_to_the_bound_of_the_board():
    site = Site("hold")
    site.desk.contact.close()
    board = Held(site.desk)
    for hold_s, opens_at in ((0, None), (1, 0), (900, 0), (1000, 900), (86400, 85500)):
        board.hold_s = hold_s
        for before_s in range(0, 90000, 900):
            del site.desk.contact.moves[:]
            slept = []
            start.hold(board, before_s, slept.append)
            assert slept == [900000]
            assert site.desk.contact.moves == (["open"] if before_s == opens_at else [])


def test_metering_goes_on_between_the_chunks():
    site = Site("meter")
    start_wh = site.desk.meter.register_wh
    for args in steps()[:-1]:
        assert site.send(args)[0] == codes.DONE
        site.desk.now_ms += 900000
        site.desk.meter.register_wh += 100
        asyncio.run(site.firmware.metering.poll())
        state = site.firmware.points[0].state
        assert state.register_wh == site.desk.meter.register_wh
        assert state.charged_ncur == (state.register_wh - start_wh) * 500000
