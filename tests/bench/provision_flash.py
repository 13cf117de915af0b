"""flash_s: a bare chip to a flashed and verified image by one command, see flash_proof.py. What is
said and printed about a chip that holds a key is left for the search for keys."""


def measure() -> dict[str, int]:
    from tests.bench import flash_proof

    took_s = flash_proof.flash_s()
    flash_proof.watched("provision_flash")
    return {"flash_s": took_s}
