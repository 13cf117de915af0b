"""The claim code of a module: what the person who holds the module has and nobody else.

Twelve random characters (60 bits) without I, L, O and U, apart from the key and drawn for
themselves: neither says anything about the other. One private file a module in the cards folder.
"""

import json
import re
import secrets
from pathlib import Path

from host_tools import Refused
from host_tools.files import PRIVATE, write_whole

CARDS_FOLDER = "cards"
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE = re.compile(f"[{LETTERS}]{{4}}(-[{LETTERS}]{{4}}){{2}}")


def claim_code(folder: Path, module: str) -> str:
    """The module's code, drawn at the first time; Refused when its file is damaged."""
    path = folder / f"{module}.claim.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _new(path, module)
    except ValueError as error:
        raise _damaged(path) from error
    code = kept.get("claim") if isinstance(kept, dict) else None
    if not isinstance(code, str) or not CODE.fullmatch(code) or kept.get("module") != module:
        raise _damaged(path)
    return code


def _new(path: Path, module: str) -> str:
    drawn = [secrets.choice(LETTERS) for _ in range(12)]
    code = "-".join("".join(drawn[at : at + 4]) for at in (0, 4, 8))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, json.dumps({"module": module, "claim": code}) + "\n", PRIVATE)
    return code


def _damaged(path: Path) -> Refused:
    return Refused(f"{path}: is no claim code; restore it, or remove it and print the label anew")
