"""What hangs on a module, and the settings that say so: meters on a bus or a gateway, pulses.

Energies in Wh, currents in mA, money in whole units of the point's currency until it becomes a
setting. Meters show what a household uses; who moves the household's relay is the caller's choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from host_tools.broker import HOST
from host_tools.config import BrokerAddress
from host_tools.maps import MAPS, load, to_slave
from host_tools.simulator.bridge import Options, VirtualModule
from host_tools.simulator.household import Household
from host_tools.simulator.slave import Gateway, Registers
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.tokens import UNIT_NCUR
from protocol import settings
from protocol.units import NCUR_PER_CUR

BAUD = 9600
FREQUENCY_MHZ = 50_000
KEEPALIVE_S = 60
BATCH_RECORDS = 8
CAP, TOPUP_MAX = 500, 200


@dataclass(frozen=True, slots=True)
class Place:
    """One service point: what hangs on it and what it may do."""

    label: str
    meter_map: str  # empty for a pulse meter
    unit: int
    relay: int
    warnings: tuple[int, int]
    limit: int  # below zero an overdraft
    auto_close: bool
    curve: str
    scale_permille: int
    current_max_ma: int
    imp_per_kwh: int = 0
    tcp: bool = False  # behind the gateway instead of on the bus


def pulse_channels(places: Mapping[int, Place]) -> dict[int, int]:
    """Point -> input of every pulse meter, in the order of the points."""
    points = [point for point, place in places.items() if not place.meter_map]
    return {point: channel for channel, point in enumerate(points)}


def module_settings(
    module: str,
    shard: int,
    places: Mapping[int, Place],
    login: BrokerAddress,
    poll_ms: int,
    pulse_base_wh: int = 0,
    gateway_port: int = 0,
) -> settings.Module:
    """The configuration a module is provisioned with; a pulse meter showed `pulse_base_wh`.

    `gateway_port` of this machine is where the meters behind a gateway are.
    """
    gateway = {"gateway_host": HOST, "gateway_port": gateway_port} if gateway_port else {}
    channels = pulse_channels(places)
    points = tuple(
        _point(point, place, channels.get(point, 0), pulse_base_wh)
        for point, place in places.items()
    )
    return settings.module_of(
        version=1,
        module=module,
        shard=shard,
        broker_host=login.host,
        broker_port=login.port,
        broker_fallbacks=login.fallbacks_text,
        broker_user=login.user,
        broker_password=login.password,
        keepalive_s=KEEPALIVE_S,
        poll_ms=poll_ms,
        batch_records=BATCH_RECORDS,
        rs485_baud=BAUD,
        rs485_parity=0,
        points=points,
        **gateway,
    )


def _point(point: int, place: Place, channel: int, pulse_base_wh: int) -> settings.Point:
    return settings.point_of(
        point=point,
        meter=_kind(place),
        meter_map=place.meter_map,
        unit=place.unit,
        pulse_channel=channel,
        imp_per_kwh=place.imp_per_kwh,
        register_base_wh=0 if place.meter_map else pulse_base_wh,
        current_max_ma=place.current_max_ma,
        relay=place.relay,
        warning_1_ncur=place.warnings[0] * NCUR_PER_CUR,
        warning_2_ncur=place.warnings[1] * NCUR_PER_CUR,
        limit_ncur=place.limit * NCUR_PER_CUR,
        rearm_ncur=(place.limit + 1) * NCUR_PER_CUR,
        cap_ncur=CAP * NCUR_PER_CUR,
        topup_max_ncur=TOPUP_MAX * NCUR_PER_CUR,
        auto_close=int(place.auto_close),
        token_unit_ncur=UNIT_NCUR,
    )


def _kind(place: Place) -> int:
    if not place.meter_map:
        return settings.PULSE
    return settings.MODBUS_TCP if place.tcp else settings.MODBUS


def wired(
    module: str,
    time: VirtualTime,
    folder: Path,
    places: Mapping[int, Place],
    households: Mapping[int, Household],
    options: Options,
) -> VirtualModule:
    """A module with the meters of its places, each showing what its household uses."""
    inputs = {channel: point for point, channel in pulse_channels(places).items()}

    def pulses(channel: int, at_ms: int) -> int:
        point = inputs.get(channel)
        if point is None:
            return 0
        return households[point].pulses(at_ms, places[point].imp_per_kwh)

    units = _units(places, households, time, tcp=False)
    return VirtualModule(module, time, folder, units=units, pulses=pulses, options=options)


def gateway(
    port: int, time: VirtualTime, places: Mapping[int, Place], households: Mapping[int, Household]
) -> Gateway:
    """The gateway with those meters of a module that are behind one."""
    return Gateway(port, _units(places, households, time, tcp=True))


def _units(
    places: Mapping[int, Place],
    households: Mapping[int, Household],
    time: VirtualTime,
    *,
    tcp: bool,
) -> dict[int, Registers]:
    return {
        place.unit: _registers(place.meter_map, households[point], time.now_ms)
        for point, place in places.items()
        if place.meter_map and place.tcp == tcp
    }


def _registers(meter_map: str, household: Household, now_ms: Callable[[], int]) -> Registers:
    """A meter as its map describes it, showing what the household uses."""
    return to_slave(load(MAPS / f"{meter_map}.toml"), meter_values(household, now_ms))


def meter_values(household: Household, now_ms: Callable[[], int]) -> dict[str, Callable[[], int]]:
    """Getters of all that a household shows on any meter, in our units."""
    values: dict[str, Callable[[], int]] = {
        "import_wh": lambda: household.wh(now_ms()),
        "power_mw": lambda: household.power_mw(now_ms()),
        "voltage_mv": lambda: household.voltage_mv,
        "current_ma": lambda: household.current_ma(now_ms()),
        "frequency_mhz": lambda: FREQUENCY_MHZ,
    }
    for phase in (1, 2, 3):  # a household spread evenly over the phases of a three-phase meter
        values[f"voltage_l{phase}_mv"] = lambda: household.voltage_mv
        values[f"current_l{phase}_ma"] = lambda: household.current_ma(now_ms()) // 3
        values[f"power_l{phase}_mw"] = lambda: household.power_mw(now_ms()) // 3
    return values
