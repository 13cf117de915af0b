"""The tariffs of a bill by version: the files of the store, else what a stored book alone says."""

from host_tools import Refused
from host_tools.billing.words import UNNAMED
from host_tools.store.database import Store
from host_tools.tariffs import stored, terms
from host_tools.tariffs.terms import Document, Terms
from protocol import tariff

NO_FILE = "-"  # origin of a document that is made of a stored book


class Documents:
    """Each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, Document] = {}

    def __call__(self, version: int) -> Document:
        known = self._known.get(version)
        if known is None:
            book = self._store.fleet.book(version)
            if book is None:
                raise Refused(
                    f"tariff version {version}: is not in the store; restore a backup"
                    " 电价不在库中，请恢复备份"
                )
            known = stored.document(self._store, version) or unnamed(book)
            self._known[version] = known
        return known


def unnamed(book: tariff.Book) -> Document:
    """A document of a book alone: rates have numbers, and no percentage can be told apart."""
    around = []
    for from_s, rates in book.rates:
        rows = rates.prices_ucur_per_kwh
        names = tuple(f"{UNNAMED}{number}" for number in range(1, len(rows[0]) + 1))
        method = terms.ADDER if len(rows) == 1 else terms.PER_TIER
        plain = Terms(
            names, method, terms.CHRONOLOGICAL, (), (), (), None, False, False, terms.PRINTED, 0
        )
        around.append((from_s, plain))
    name = f"version {book.version}"
    return Document(name, NO_FILE, "-", "-", {}, book, tuple(around))
