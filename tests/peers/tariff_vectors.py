"""Writes what ratebook and PySAM ask for the cases of tariff_cases.py into tests/peers/*.json.

ratebook wants Python 3.12 but runs on 3.11; PySAM is 240 MB. Neither is a dependency of ours. In a
throw-away environment, from the root of the tree:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install --ignore-requires-python ratebook==0.1.0 NREL-PySAM==7.1.1.post1
    /tmp/peers/bin/python -m tests.peers.tariff_vectors
"""

import json
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import PySAM.Utilityrate5
import ratebook as rb

from tests.peers import tariff_cases
from tests.peers.tariff_cases import MONTH_DAYS, Case

FOLDER = Path(__file__).parent
CASES = 1000
UNLIMITED_KWH = 1e38


def cur(ncur: int) -> Decimal:
    return Decimal(ncur) / 10**9


def by_ratebook(case: Case) -> str:
    """The total of a month in nano-currency, as a decimal text: ratebook rounds nothing."""
    unit = rb.TierMaxUnit.KWH_DAILY if case.per_day else rb.TierMaxUnit.KWH
    bounds = [*case.thresholds_wh, None]
    energy = rb.EnergyRateStructure(
        tuple(
            rb.EnergyPeriod(
                tuple(
                    rb.EnergyTier(
                        rate=Decimal(price) / 10**6,
                        max=None if bound is None else Decimal(bound) / 1000,
                        max_unit=unit,
                    )
                    for price, bound in zip(row, bounds, strict=True)
                )
            )
            for row in case.rows
        )
    )
    weekday, weekend = (tuple(map(tuple, each)) for each in (case.weekday, case.weekend))
    fixed = case.fixed and rb.FixedCharge(
        cur(case.fixed[1]),
        rb.FixedChargeUnit.PER_DAY if case.fixed[0] == "day" else rb.FixedChargeUnit.PER_MONTH,
    )
    least = case.least and rb.MinCharge(
        cur(case.least[1]),
        rb.MinChargeUnit.PER_DAY if case.least[0] == "day" else rb.MinChargeUnit.PER_MONTH,
    )
    tariff = rb.Tariff(
        energy,
        rb.Schedule(weekday, weekend),
        fixed_charges=(fixed,) if fixed else (),
        min_charge=least,
    )
    window = rb.BillingWindow(date(case.year, case.month, 1), MONTH_DAYS[case.month - 1])
    usage = rb.Usage.hourly(Decimal(wh) / 1000 for wh in case.load)
    found = rb.estimate_bill(tariff, usage, window)
    if not found.ok:
        raise RuntimeError(f"refused: {found.refusal}")
    return format((found.total * 10**9).normalize(), "f")


def by_pysam(case: Case) -> list[str]:
    """Twelve totals in currency units, to a millionth: PySAM computes in binary fractions."""
    bounds = [*(wh / 1000 for wh in case.thresholds_wh), UNLIMITED_KWH]
    table = [
        [rate, tier, bound, 0, price / 10**6, 0]
        for rate, row in enumerate(case.rows, 1)
        for tier, (price, bound) in enumerate(zip(row, bounds, strict=True), 1)
    ]
    values = {
        "en_electricity_rates": 1,
        "analysis_period": 1,
        "inflation_rate": 0,
        "system_use_lifetime_output": 0,
        "degradation": [0],
        "load_escalation": [0],
        "rate_escalation": [0],
        "gen": [0] * len(case.load),
        "load": [wh / 1000 for wh in case.load],
        "ur_metering_option": 2,
        "ur_en_ts_buy_rate": 0,
        "ur_en_ts_sell_rate": 0,
        "ur_dc_enable": 0,
        "ur_ec_sched_weekday": [[rate + 1 for rate in row] for row in case.weekday],
        "ur_ec_sched_weekend": [[rate + 1 for rate in row] for row in case.weekend],
        "ur_ec_tou_mat": table,
        "ur_monthly_fixed_charge": case.fixed[1] / 10**9 if case.fixed else 0,
        "ur_monthly_min_charge": case.least[1] / 10**9 if case.least else 0,
        "ur_annual_min_charge": 0,
    }
    model = PySAM.Utilityrate5.new()
    for name, value in values.items():
        model.value(name, value)
    model.execute(0)
    return [f"{total:.6f}" for total in model.Outputs.year1_monthly_utility_bill_wo_sys]


def write(name: str, peer: str, totals: list[object]) -> None:
    told = {
        "peer": f"{peer} {version(peer)}",
        "made_by": "python -m tests.peers.tariff_vectors",
        "cases": "tests.peers.tariff_cases, seeds 0 to " + str(len(totals) - 1),
        "totals": totals,
    }
    (FOLDER / name).write_text(json.dumps(told, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    months = [by_ratebook(tariff_cases.one_month(seed)) for seed in range(CASES)]
    write("tariff_ratebook.json", "ratebook", months)
    years = [" ".join(by_pysam(tariff_cases.one_year(seed))) for seed in range(CASES)]
    write("tariff_pysam.json", "NREL-PySAM", years)
