"""Random histories of one share, under MicroPython; see tokens_world."""

import json

from tests.bench import tokens_world as worlds
from tests.bench.mutations import Dice
from tests.firmware import desk as desks

STEPS = 14
SEED = 20261125


def run(first, histories, genuine, root, make_world=worlds.World):
    """Counts of histories `first` and on; `genuine` of them under the real hash."""
    count = {"double_accepts": 0, "bypasses": 0, "wrong": 0, "accepted": 0, "capped": 0}
    count.update({"locked": 0, "cuts": 0, "latched": 0, "first": ""})
    for make_hash, some in ((worlds.real_hash, genuine), (worlds.Cheap, histories - genuine)):
        if not some:
            continue
        site = worlds.Site(root, worlds.Booklet(make_hash))
        for number in range(first, first + some):
            world = worlds.history(site, Dice(SEED + number * 7919), STEPS, make_world)
            for name in count:
                if name == "first":
                    if world.first and not count["first"]:
                        count["first"] = "history %d: %s" % (number, world.first)
                else:
                    count[name] += getattr(world, name)
        first += some
    return count


def main(first, histories, genuine):
    print(json.dumps(run(first, histories, genuine, desks.folder("tokens-%d" % first))))
