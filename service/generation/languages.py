"""The language of questions and answers: sure, or silent.

Texts here are short and full of names and code, on which language models of any size guess: little words decide where
they can, and what is left is told only with high confidence. What follows from it is left to the callers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from service.generation.checking.facts import CODE_SPAN

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

_NOT_PROSE = re.compile(
    r"\"[^\"\n]{1,300}\"|\u201e[^\u201c\u201d\n]{1,300}[\u201c\u201d]|\u201c[^\u201d\n]{1,300}\u201d|"
    r"\u00ab[^\u00bb\n]{1,300}\u00bb|\S{1,300}://\S{1,2000}|\S{1,200}@\S{1,200}|\[[^\]\n]{0,60}\]|"
    r"\S*[\d_/\\=<>{}$#|]\S*|\S*\w[.:]\w\S*|-{1,2}\w\S*"
)
"""Quotations, addresses, citations, and tokens that are figures, paths, flags or identifiers."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")

_LITTLE_WORDS = {
    "en": "the and of to for with that this are is was were be been not you your from or will when which can if its "
    "has have by on in at an a as it what how who where why does did do should must there they them then before after "
    "only until each every i we my our",
    "de": "und der die das ist sind war waren nicht mit von zu auf für ein eine einer einen eines wird werden wurde "
    "wurden sich dem den des auch wenn wie wer wo was warum wann welche welcher welches welchen kann muss soll hat "
    "haben ich wir sie es er in im am an nach vor bei oder zum zur aus noch nur dann viele unter über als",
    "fr": "les le la des de est dans un une pour sur avec pas et au aux ce cette ces vous être sont qui que du par ou "
    "leur quand comment pourquoi quel quelle je nous faut peut doit après avant il elle en ne se",
    "es": "los las el la de del un una para por con y como cuando qué cómo dónde cuál cuánto está son es que en no "
    "pero puede debe hay después antes cada esta este sin más si se lo al",
    "it": "il gli la le della delle dei degli di un una per con che è sono come quando dove perché quale quanto può "
    "deve dopo prima ogni questo questa nella nel alla in ma più si non e",
    "pt": "os as das dos de da do um uma para com não como quando onde qual quanto está são é que pode deve depois "
    "antes cada este esta mais em pelo pela ao você isso se na no e o a",
    "nl": "het een en van voor met niet is was zijn wordt worden dat deze dit hoe wie wat waar waarom wanneer kan moet "
    "bij naar ook als dan nog ik wij we de in op te of aan om",
    "sv": "och att det som är för inte med till av ett en när hur vem var varför kan måste efter före också eller från "
    "den i på om",
    "da": "og at det som er for ikke med til af et en når hvordan hvem hvor hvorfor kan skal efter før også eller fra "
    "den i på om de",
    "pl": "i nie jest się na do z w o jak kiedy gdzie kto dlaczego czy po przed oraz przez są można należy co to",
}
_LEAST_DIFFERENT = 2
"""Different little words of a language from which a text is surely in it..."""
_LEAST_AHEAD = 4
"""...if they stand there so many times as often as those that it does not have."""
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("cyrillic", re.compile(r"[\u0400-\u04ff]")),
    ("arabic", re.compile(r"[\u0600-\u06ff]")),
    ("indic", re.compile(r"[\u0900-\u0dff]")),
)
"""Scripts of one language, and some of several, for which the model decides. Japanese before Chinese: it has both."""
_LEAST_SCRIPT = 4
_LEAST_OF_SCRIPT = 0.3
"""Share of the letters: in such scripts terms of computing are often Latin."""
_LEAST_LETTERS = 40
_LEAST_CONFIDENCE = 0.95
_ALIKE = (
    frozenset({"da", "nb", "nn", "no", "sv"}),
    frozenset({"ca", "es", "gl", "pt", "oc", "an"}),
    frozenset({"bs", "hr", "sr", "sl"}),
    frozenset({"cs", "sk"}),
    frozenset({"id", "ms", "jv"}),
    frozenset({"de", "lb", "nl", "af"}),
    frozenset({"be", "bg", "mk", "ru", "uk", "kk", "ky"}),
    frozenset({"ar", "fa", "ur", "ps", "ug"}),
    frozenset({"hi", "mr", "ne"}),
)
"""Languages that short texts do not tell apart for certain."""


class Languages:
    """Tells languages; safe for concurrent calls. The first text that is left to a model loads it: 0.7 s, 80 MB.

    Without the model (`with_model` false) fewer languages are told, and no more wrongly.
    """

    def __init__(self, *, with_model: bool = True) -> None:
        self._with_model = with_model

    def language(self, text: str) -> str | None:
        """ISO 639-1 code of what its prose is written in; None if that is too little to tell, or to be sure."""
        prose = _prose(text)
        letters = sum(map(str.isalpha, prose))
        if not letters:
            return None
        for name, script in _SCRIPTS:
            found = len(script.findall(prose))
            if found >= _LEAST_SCRIPT and found >= _LEAST_OF_SCRIPT * letters:
                return name if len(name) == 2 else self._detect(prose)
        return self._by_little_words(prose) or (self._detect(prose) if letters >= _LEAST_LETTERS else None)

    def answers_in_other_language(self, question: str, sentences: Sequence[str]) -> bool:
        """Whether the sentences of an answer are surely in another language than the question. Quotations, code and
        names count for neither; what cannot be told is no."""
        asked = self.language(question)
        answered = self.language("\n".join(sentences)) if asked is not None else None
        if asked is None or answered is None or asked == answered:
            return False
        return not any({asked, answered} <= alike for alike in _ALIKE)

    def without_little_words(self, text: str) -> str:
        """The text without the words that say nothing but in which language it is."""
        return _WORD.sub(lambda word: " " if word.group().lower() in self._known else word.group(), text)

    def _by_little_words(self, prose: str) -> str | None:
        """The language whose little words it has, next to none being of others. A capital inside a sentence is a name
        or a noun: titles are quoted in every language."""
        counts: Counter[str] = Counter()
        for match in _WORD.finditer(prose):
            word = match.group()
            before = prose[max(0, match.start() - 4) : match.start()].rstrip(" \"'(*-")
            if word.islower() or before[-1:] in ("", ".", "!", "?", ":"):
                counts[word.lower()] += 1
        own = {
            language: {word: times for word, times in counts.items() if word in words}
            for language, words in self._words.items()
        }
        best, found = max(own.items(), key=lambda entry: sum(entry[1].values()))
        others = sum(counts[word] for word in counts if word in self._known and word not in self._words[best])
        rivals = [language for language in own if language != best and len(own[language]) == len(found)]
        sure = len(found) >= _LEAST_DIFFERENT and sum(found.values()) >= _LEAST_AHEAD * others
        return best if sure and not rivals else None

    @cached_property
    def _words(self) -> dict[str, frozenset[str]]:
        return {language: frozenset(words.split()) for language, words in _LITTLE_WORDS.items()}

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset().union(*self._words.values())

    def _detect(self, prose: str) -> str | None:
        if not self._with_model:
            return None
        found, confidence = self._identifier.classify(prose)
        return str(found) if confidence >= _LEAST_CONFIDENCE else None

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _prose(text: str) -> str:
    return " ".join(_NOT_PROSE.sub(" ", CODE_SPAN.sub(" ", text)).split())
