"""A table of films with every oddity that a comparison with LIKE must bear."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pydantic import SecretStr

from service.quality.parity.comparing import Limits
from service.quality.parity.records import Parity, Reason
from service.quality.parity.table import TableName

FILMS = {
    1: ("The Gateway", "A restarted gateway answers 502 until dawn."),
    2: ("100% Wolf", "A wolf who is one hundred percent poodle."),
    3: ("Snake_Case", "An underscore between two words."),
    4: ("GATEWAY TWO", "<script>alert('films')</script> & more."),
    5: ("Amélie", "Une fille à Paris, l'amour & le café."),
    6: ("Blank", None),
    7: ("Lines", "one line\r\nanother  line\twith\x07 a bell"),
    8: (None, "A film without a title, about vacation days in the office."),
    9: ("Exclaim!", "Wow!! Such wow! Path C:\\films\\wow"),
    10: (None, None),
}
ASKED = TableName("films", "id", ("title", "body"))
LIMITS = Limits(page=5)


def tell(*_: object) -> None:
    """Nobody watches."""


def sqlite_films(path: Path) -> SecretStr:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE films (id INTEGER PRIMARY KEY, title TEXT, body TEXT, price REAL)")
        rows = [(key, title, body, key + 0.5) for key, (title, body) in FILMS.items()]
        connection.executemany("INSERT INTO films VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return SecretStr(f"sqlite:///{path}")


def reasons(parity: Parity) -> list[tuple[str, str, Reason]]:
    return [(query.query, one.row, one.reason) for query in parity.queries for one in query.missing]
