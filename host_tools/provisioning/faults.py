"""What can be wrong at a module, and what a technician does about it: one line, one exit code.

`seen` says what was wrong. The table is printed in docs/provisioning.md. Codes below 10 are those
of every command.
"""

from host_tools.faults import SEEN, Kind

CONSOLE = Kind(
    "console",
    10,
    SEEN,
    (
        "plug the cable in, close other programs on the port, then run the same command again",
        "请插好串口线并关闭占用该端口的程序，然后重新执行同一命令",
    ),
)
PROGRAM = Kind(
    "program",
    11,
    SEEN,
    (
        "write the program with gridpurse flash, then run this command again",
        "请先用 gridpurse flash 写入程序，再执行本命令",
    ),
)
EXISTING = Kind(
    "existing module",
    12,
    SEEN,
    (
        "it belongs to somebody: retire or replace it with gridpurse module; once erased with"
        " gridpurse flash --erase-journal MAC --erase-files MAC it is another one, --was OLD",
        "该模块已有身份：请用 gridpurse module 停用或更换；用"
        " gridpurse flash --erase-journal MAC --erase-files MAC 清空后须以新身份配置（--was OLD）",
    ),
)
SERIAL = Kind(
    "duplicate serial number",
    13,
    SEEN,
    (
        "look at both type plates; one of the two is wrong",
        "请核对两只模块的铭牌，其中一个序列号有误",
    ),
)
HOST_CLOCK = Kind(
    "host clock",
    14,
    SEEN,
    ("set this computer's clock, then run the same command again", "请校准本机时钟，然后重新执行"),
)
CLOCK = Kind(
    "clock", 15, SEEN, ("its clock does not run: replace the module", "模块时钟不走，请更换模块")
)
NETWORK = Kind(
    "network",
    16,
    SEEN,
    (
        "check the Wi-Fi name, its password and the reception, or the Ethernet cable",
        "请检查 Wi-Fi 名称、口令与信号，或网线",
    ),
)
BROKER = Kind(
    "broker",
    17,
    SEEN,
    (
        "start the broker, or name the right one with --broker HOST:PORT",
        "请启动代理，或用 --broker 主机:端口 指定正确的代理",
    ),
)
LOGIN = Kind(
    "broker login",
    18,
    SEEN,
    (
        "add the module and its password to the broker's users",
        "请在代理中添加该模块的用户名与口令",
    ),
)
CERTIFICATE = Kind(
    "certificate",
    19,
    SEEN,
    ("get a valid CA file and name it with --ca", "请取得有效的 CA 证书并用 --ca 指定"),
)
SILENT = Kind(
    "silent meter",
    20,
    SEEN,
    (
        "check the meter's supply, A and B of the bus, and the unit number",
        "请检查电表供电、总线 A/B 接线与表地址",
    ),
)
BAUD = Kind(
    "wrong baud",
    21,
    SEEN,
    (
        "set the meter to the speed of its bus, or name it with --baud",
        "请将电表设为总线波特率，或用 --baud 指定",
    ),
)
PHASES = Kind(
    "phases",
    22,
    SEEN,
    ("switch off, then correct the wires of the named phase", "请停电后更正所示相的接线"),
)
VALUES = Kind(
    "implausible values",
    23,
    SEEN,
    ("check that the meter is of the family named with --meter", "请核对 --meter 所写的电表型号"),
)
RELAY = Kind(
    "relay",
    24,
    SEEN,
    (
        "switch off; replace a welded contact, check coil and feedback wires",
        "请停电检查：触点粘连须更换，并检查线圈与反馈接线",
    ),
)
PULSES = Kind(
    "no pulses",
    25,
    SEEN,
    (
        "switch a load on; check the pulse wires and their polarity",
        "请接通负荷，并检查脉冲线及极性",
    ),
)
SETTLE = Kind(
    "not settled",
    26,
    SEEN,
    (
        "start `gridpurse settle` for this shard, then run the same command again",
        "请启动该分片的 gridpurse settle，然后重新执行",
    ),
)
STORAGE = Kind(
    "module storage",
    27,
    SEEN,
    (
        "its flash is full or failing: flash it anew, or replace it",
        "模块存储已满或损坏：请重新刷写或更换",
    ),
)
ORDER = Kind(
    "other order",
    28,
    SEEN,
    (
        "run it with the words of the first time, or flash the module anew",
        "请使用首次的参数，或重新刷写模块",
    ),
)
MODULE = Kind(
    "module error",
    29,
    SEEN,
    (
        "switch the module off and on and run the same command again;"
        " replace it if that comes again",
        "请断电重启模块后重新执行；再次出现则更换模块",
    ),
)

KINDS = (
    CONSOLE,
    PROGRAM,
    EXISTING,
    SERIAL,
    HOST_CLOCK,
    CLOCK,
    NETWORK,
    BROKER,
    LOGIN,
    CERTIFICATE,
    SILENT,
    BAUD,
    PHASES,
    VALUES,
    RELAY,
    PULSES,
    SETTLE,
    STORAGE,
    ORDER,
    MODULE,
)
