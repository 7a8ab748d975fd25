"""What somebody wrote in a mail now, apart from greetings, signature and the thread below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from service.retrieval.distilling.troubles import troubles
from service.retrieval.distilling.unwrapping import Line


class Part(Enum):
    """Where in a mail a line stands."""

    BODY = "body"
    SUBJECT = "subject"
    THREAD = "thread"
    """What others wrote before."""
    AROUND = "around"
    """Greeting, header, signature."""


_SIGNATURE_LINES = 10
_CLOSING_WORDS = 6
_HEADER = re.compile(
    r"\s*[>*]*\s*(?:from|sent|to|cc|date|reply-to|received|return-path|message-id|mime-version|content-type|x-[\w-]+"
    r"|von|gesendet|an|datum|kopie|de|envoyé|à|répondre à)\*?\s{0,2}:(?:\s|$)",
    re.IGNORECASE,
)
_SENDER = re.compile(r"\s*\*?(?:from|von|de)\*?\s{0,2}:\s", re.IGNORECASE)
_SUBJECT = re.compile(r"\s*\*?(?:subject|betreff|objet|title|summary|titel|titre)\*?\s{0,2}:\s*", re.IGNORECASE)
_REPLY = re.compile(
    r"\s*(?:(?:re|fwd?|aw|wg|tr)\s?:|\[[^\]]{0,40}\]|(?:ticket|case|incident)\s?#?\s?[\w-]*\d)\s*", re.I
)
_THREAD = re.compile(
    r"\s*(?:-{2,}\s?(?:original message|ursprüngliche nachricht|message d'origine|forwarded message"
    r"|weitergeleitete nachricht|message transféré)|_{10,}\s*$"
    r"|on .{5,150}\bwrote:\s*$|am .{5,150}\bschrieb\b.{0,80}:\s*$|le .{5,150}\ba écrit\s?:\s*$)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\s*(?:--\s*$|(?:kind |best |warm |many )?regards\b|best wishes\b|best,|cheers\b|(?:many )?thanks\b|thank you\b"
    r"|thx\b|sincerely\b|yours\b|mit freundlichen grüßen|mit freundlichem gruß|freundliche grüße|(?:viele|beste|liebe|"
    r"schöne) grüße|mfg\b|vielen dank\b|danke\b|gruß\b|cordialement|bien cordialement|merci\b|bien à vous|salutations"
    r"|sent from my|von meinem .{2,20} gesendet|envoyé de mon)",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(r"\s*(?:--\s*$|.{0,30}(?:regards|grüßen?|gruß|cordialement|sincerely|salutations)\b)", re.I)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|guten (?:tag|morgen|abend)|moin|servus"
    r"|liebe[rs]?|sehr geehrte[rs]?|bonjour|bonsoir|salut|chère?s?|madame|monsieur)\b.{0,40}$",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"hope (?:you are|you're|this|all is)|have a look|take a look|look (?:at|into) (?:this|the following)|as soon as"
    r"|(?:can|could) (?:you|someone|anybody|anyone) (?:please )?(?:help|advise|assist|check|look)"
    r"|please (?:help|advise|assist|see below|find)|any (?:help|idea)s?\b|let me know|looking forward|get back to"
    r"|confidential|intended recip"
    r"|privileged|virus|disclaimer|unsubscribe|before printing|ich bitte um|bitte um (?:schnelle |kurze )?"
    r"(?:hilfe|info|rückmeldung|prüfung)|folgende[ms]? problem|vertraulich|sitz der gesellschaft"
    r"|geschäftsführer|hoffe,? (?:es|ihnen|dir)|im voraus|rückfragen|merci de|pourriez-vous|le problème suivant"
    r"|confidentiel|avant d'imprimer|d'avance"
    r"|n'hésitez pas|dans l'attente|see (?:attached|below|attachment)|siehe (?:unten|anhang)"
    r"|following (?:problem|issue)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[A-ZÄÖÜÉÀ0-9])")
_SMALL_TALK_WORDS = 24


def parts_of(lines: Sequence[Line]) -> list[Part]:
    """The part of each line."""
    parts: list[Part] = []
    in_thread, signature = False, 0
    for at, line in enumerate(lines):
        text = line.text[:400]
        marker = _THREAD.match(text) is not None
        if marker or (_SENDER.match(text) and _written(parts) and _header_follows(lines, at)):
            in_thread = True
        if marker:
            part = Part.AROUND
        elif line.told:
            part, signature = Part.BODY, 0
        elif _SUBJECT.match(text):
            part = Part.THREAD if in_thread else Part.SUBJECT
        elif _HEADER.match(text) or _GREETING.match(text):
            part = Part.AROUND
        elif in_thread or text.lstrip().startswith(">"):
            part = Part.THREAD
        elif _CLOSING.match(text) and len(text.split()) <= _CLOSING_WORDS:
            part = Part.AROUND
            signature = _SIGNATURE_LINES if _SIGN_OFF.match(text) else max(signature, 2)
        elif signature and not troubles(text):
            part = Part.AROUND
            signature -= 1 if text.strip() else 0
        else:
            part = Part.BODY
        parts.append(part)
    return parts


def subject_of(text: str) -> str:
    """A subject without `Subject:`, `RE:`, brackets and ticket numbers."""
    text = _SUBJECT.sub("", text, count=1)
    for _ in range(6):
        found = _REPLY.match(text)
        if not found or not found.end():
            return text
        text = text[found.end() :]
    return text


def without_small_talk(text: str) -> str:
    """The sentences of a paragraph that are about something."""
    sentences = _SENTENCE.split(text)
    kept = [s for s in sentences if not (_SMALL_TALK.search(s) and len(s.split()) <= _SMALL_TALK_WORDS)]
    return " ".join(sentence for sentence in kept if not _GREETING.match(sentence))


def _written(parts: Sequence[Part]) -> bool:
    return Part.BODY in parts


def _header_follows(lines: Sequence[Line], at: int) -> bool:
    return sum(bool(_HEADER.match(line.text) or _SUBJECT.match(line.text)) for line in lines[at + 1 : at + 4]) >= 2
