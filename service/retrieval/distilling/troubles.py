"""Words of something being wrong, in English, German and French."""

from __future__ import annotations

_STEMS = (
    *(
        "error",
        "exception",
        "fail",
        "fatal",
        "panic",
        "caused by",
        "timed out",
        "time out",
        "timeout",
        "refused",
        "denied",
    ),
    *(
        "unable",
        "cannot",
        "unavailable",
        "exceed",
        "exhaust",
        "invalid",
        "corrupt",
        "killed",
        "crash",
        "stuck",
        "expired",
    ),
    *("missing", "rejected", "unreachable", "critical", "degraded", "unhealthy", "disappeared", "broken", " too long "),
    *(
        " too slow ",
        " too many ",
        " down ",
        " full ",
        " lost ",
        " not ",
        "n t ",
        " no longer ",
        " no more ",
        " no space ",
    ),
    *(
        " no route ",
        " no such ",
        " no leader ",
        "fehler",
        "fehlgeschlagen",
        "abgelaufen",
        "abgestürzt",
        "kaputt",
        " nicht ",
    ),
    *(
        "gesperrt",
        "échou",
        "erreur",
        "impossible",
        "en panne",
        "refusé",
        "expiré",
        " ne pas ",
        " n est plus ",
        " plus de ",
    ),
)
_SPACED = str.maketrans(dict.fromkeys(".,:;!?'\u2019\"()[]{}=/\\|-_\t\n", " "))
_FINE = tuple(f" {none} {what}" for none in ("0", "no", "zero", "without") for what in ("fail", "error", "timeout"))
"""Good news in the same words."""


def troubles(text: str) -> int:
    """How many different words of trouble a text holds. Each is looked for once, without backtracking."""
    said = f" {text.lower().translate(_SPACED)} "
    for fine in _FINE:
        if fine in said:
            said = said.replace(fine, " ")
    return sum(stem in said for stem in _STEMS)
