"""flash_s: a bare chip to a flashed and verified image by one command, see flash_proof.py."""


def measure() -> dict[str, int]:
    from tests.bench import flash_proof

    return {"flash_s": flash_proof.flash_s()}
