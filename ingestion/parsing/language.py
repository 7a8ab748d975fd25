"""The language that a document is written in, as it says itself or as its prose shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ingestion.corpus.records import Element, ElementKind, Metadata

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

_CODES = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
    no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
    te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905 - shorter to read
)
"""ISO 639-1."""
_NO_LANGUAGE = "zxx"
"""What the model calls figures, names and codes."""
_STATED_AS = ("language", "lang")
_TAG = re.compile(r"\s*([A-Za-z]{2})(?:[-_][A-Za-z0-9_.@-]{1,40})?\s*")
_NOT_PROSE = re.compile(
    r"`[^`\n]{1,300}`|\S{1,300}://\S{1,2000}|\S{1,200}@\S{1,200}|</?\w[^<>\n]{0,300}>|[#*_>|\[\](){}=~\\]+"
)
_SAMPLES = 3
_SAMPLE_CHARS = 140
_READ_CHARS = 300
"""Of an element, before what is no prose is taken out."""
_LEAST_LETTERS = 40
_LEAST_LETTERS_WIDE = 12
"""Of scripts that write a word in one or two characters."""
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LEAST_CONFIDENCE = 0.7
"""Calibrated by the model. Of 240 paragraphs cut to 40 characters, English and German, none was told wrongly."""


_LITTLE_WORDS = {
    word: language
    for language, words in {
        "en": "the and of to for with that this are is be not you your from or will when which can if it its has by on",
        "de": "und der die das ist sind nicht mit von zu auf für ein eine einer wird werden sich dem den auch wenn im",
        "fr": "les est dans une pour sur avec pas et au aux cette ces vous être sont qui du par ne ou leur",
    }.items()
    for word in words.split()
}
_LEAST_LITTLE_WORDS = 4
_LEAST_SHARE = 0.1
"""Of little words among all, from which a text is surely in their language."""
_LEAST_DIFFERENT = 3
_LEAST_ALONE = 0.9


class LanguageDetector:
    """Most texts show their language by little words; for the others it loads a model when it is first needed, some
    0.7 s and 80 MB. Not thread-safe."""

    def language(self, text: str, elements: Sequence[Element], stated: Metadata) -> str | None:
        """ISO 639-1 code: what the document states, else what its prose, or failing that its tables, are written in;
        None if that is too little to tell, or in a language without such a code."""
        for key in _STATED_AS:
            value = stated.get(key)
            if isinstance(value, str) and (code := language_code(value)):
                return code
        for kinds in (_PROSE, _TABULAR):
            sample = _sample(text, [element for element in elements if element.kind in kinds])
            letters = sum(map(str.isalpha, sample))
            if letters >= _LEAST_LETTERS or (letters >= _LEAST_LETTERS_WIDE and _WIDE.search(sample)):
                return _by_little_words(sample) or self._detect(sample)
        return None

    def _detect(self, sample: str) -> str | None:
        found, confidence = self._identifier.classify(sample)
        code = "no" if found in ("nb", "nn") else found
        return code if confidence >= _LEAST_CONFIDENCE and code in _CODES else None

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        identifier.set_languages({*_CODES & set(identifier.labels), _NO_LANGUAGE})
        return identifier


_PROSE = frozenset({ElementKind.PARAGRAPH, ElementKind.LIST_ITEM, ElementKind.QUOTE, ElementKind.OCR})
_TABULAR = frozenset({ElementKind.TABLE, ElementKind.HEADING})


def language_code(tag: str) -> str | None:
    """ISO 639-1 code of a language tag such as `de-AT` or `en_US`; None for anything else."""
    match = _TAG.fullmatch(tag)
    code = match.group(1).lower() if match else ""
    return code if code in _CODES else None


def _by_little_words(sample: str) -> str | None:
    """The language of the sample if it has many of its little words and next to none of another's, a tenth of the
    work of the model; None if that says nothing."""
    words = sample.lower().split()
    counts = Counter(_LITTLE_WORDS[word] for word in words if word in _LITTLE_WORDS)
    if not counts:
        return None
    found, times = counts.most_common(1)[0]
    enough = times >= max(_LEAST_LITTLE_WORDS, _LEAST_SHARE * len(words))
    different = len({word for word in words if _LITTLE_WORDS.get(word) == found})
    return found if enough and times >= _LEAST_ALONE * counts.total() and different >= _LEAST_DIFFERENT else None


def _sample(text: str, elements: Sequence[Element]) -> str:
    """Prose from the beginning, the end and between, since the first words of a document are often not its own."""
    step = max(1, len(elements) / _SAMPLES)
    chosen: Iterator[int] = iter(dict.fromkeys(int(number * step) for number in range(_SAMPLES)))
    first = [elements[number] for number in chosen if number < len(elements)]
    parts = [_prose(text, element) for element in first]
    if sum(map(len, parts)) < _SAMPLES * _SAMPLE_CHARS // 2:
        parts += [_prose(text, element) for element in elements[: 4 * _SAMPLES] if element not in first]
    return " ".join(parts)[: _SAMPLES * _SAMPLE_CHARS]


def _prose(text: str, element: Element) -> str:
    start = element.span.start
    body = text[start : min(element.span.end, start + _READ_CHARS)]
    return " ".join(_NOT_PROSE.sub(" ", body).split())[:_SAMPLE_CHARS]
