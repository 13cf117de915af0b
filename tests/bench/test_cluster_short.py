"""Short forms of the cluster's proof and of the soak, and proof that they would notice."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools.cluster.postgres import binaries
from host_tools.config import StoreAddress
from tests.bench import cluster, fleet, restore, soak

METERS, INTERVALS = 100, 60


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gridpurse-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user has to come through
        yield fleet.made(Path(folder) / "made", METERS, INTERVALS, cluster.SHARDS, batches=0)


def test_a_killed_node_loses_nothing_and_doubles_nothing(made: Path) -> None:
    values = cluster.run(made, METERS * INTERVALS, 500, kill_s=60, server=binaries())
    assert values["cluster_readings"] == METERS * INTERVALS and values["cluster_kills"] >= 1
    wrong = ("cluster_lost", "cluster_double", "cluster_differences")
    assert [values[figure] for figure in wrong] == [0, 0, 0]
    assert values["cluster_recovery_s_max"] > 0


def test_one_reading_less_is_noticed(made: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "less")]
    for lacking, folder in enumerate(folders):
        shutil.copytree(made / fleet.STORE, folder)
        restore.settled_on(folder, made, METERS * INTERVALS - lacking, cluster.SHARDS)
    whole, less = (StoreAddress(folder) for folder in folders)
    rows = cluster.counted(whole)
    assert rows == (METERS * (INTERVALS + 1),) * 2
    assert cluster.counted(less) == (rows[0] - 1,) * 2
    assert cluster.ledgers_unlike(whole, less) > 0


def test_the_slope_is_that_of_the_line_through_the_samples() -> None:
    flat = [(1000 * s, 50_000 + s % 2) for s in range(0, 600, 10)]
    assert abs(soak.slope_per_h(flat)) <= 60
    rising = [(1000 * s, 50_000 + s) for s in range(0, 600, 10)]
    assert soak.slope_per_h(rising) == 3600
    assert soak.slope_per_h([(ms, -kib) for ms, kib in rising]) == -3600


def test_a_few_seconds_of_the_soak(tmp_path: Path) -> None:
    made = fleet.made(tmp_path / "made", 400, 3, batches=0)
    values = soak.run(made, 5, meters=400, burst=200)
    assert values["soak_readings"] == 1200 and values["soak_rss_kib"] > 0
