"""key_leaks: places in which a key of the other parts was found, see key_watch.py. Runs last."""

from tests.bench.key_watch import FOLDER, summed


def measure() -> dict[str, int]:
    parts = ["provision_flash", "provision_one", "provision_faults", "provision_batch"]
    parts += sorted(path.stem for path in FOLDER.glob("provision_kills_*.keys"))
    keys, leaks = summed(parts)
    for each in leaks:
        print(each)
    return {"keys_searched": keys, "key_leaks": len(leaks)}
