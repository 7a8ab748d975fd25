"""What a model says instead of an answer: that it declines, or, in words of its own, that the passages hold none.

Meant for a first sentence without a citation: a passage may well tell what somebody cannot help with. What follows is
left to the callers.
"""

from __future__ import annotations

import re

_SORRY = (
    r"(?:i(?:'m| am) (?:very |really |so )?(?:sorry|afraid)|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately)"
    r"(?: for (?:any|the) [\w ]{1,30})?[ ,.:;!-]*(?:(?:but|that) )?"
)
_PHRASES = (
    rf"(?:{_SORRY})?i(?:'m| am)? (?:can't|cannot|can not|won't|will not|unable to|not able to|not allowed to|"
    r"must decline to) (?:directly )?(?:be able to )?(?:help|assist|comply|fulfil|engage|discuss|answer|respond|"
    r"do that|do this|provide|continue|support|share|process)",
    rf"(?:{_SORRY})?(?:as|i(?:'m| am)(?: just)?) an? (?:ai|(?:large )?language model|artificial intelligence)\b",
    r"(?:(?:es )?tut mir leid|entschuldigung|leider)?[ ,.:;!]*(?:aber )?(?:ich kann|kann ich) (?:[\w-]+ ){0,5}"
    r"nicht (?:[\w-]+ ){0,4}(?:helfen|beantworten|unterstützen|nachkommen|erfüllen)\b",
    r"als (?:ki|(?:großes )?sprachmodell|künstliche intelligenz)\b",
    r"(?:(?:je suis )?désolée?|je m'excuse)?[ ,.:;!]*(?:mais )?je ne (?:peux|suis) (?:malheureusement )?pas "
    r"(?:(?:en mesure|capable) d['e ]+)?(?:vous |t'|y )?(?:aider|répondre|assister|fournir)",
    r"en tant qu['e ]+(?:ia|modèle de langage|intelligence artificielle)\b",
    r"(?:lo (?:siento|lamento)|disculpa)?[ ,.:;!]*(?:pero )?no puedo (?:ayudar|responder|asistir|proporcionar)",
    r"(?:mi dispiace|spiacente)?[ ,.:;!]*(?:ma )?non posso (?:aiutar|risponder|assister|fornir)",
    r"(?:desculpe|sinto muito)?[ ,.:;!]*(?:mas )?não posso (?:ajudar|responder|fornecer)",
    r"com[eo] (?:una? |uma? )?(?:ia|modelo de (?:lenguaje|linguagem)|modello linguistico)\b",
    r"(?:het spijt me|sorry)?[ ,.:;!]*(?:maar )?ik kan (?:[\w-]+ ){0,4}niet (?:[\w-]+ ){0,3}(?:helpen|beantwoorden)\b",
    r"(?:对不起|很?抱歉)\W*(?:但是?)?我(?:无法|不能)",
    r"作为(?:一个)?(?:ai|人工智能|语言模型)",
    r"申し訳(?:ありません|ございません)",
    r"(?:извините|простите)?[ ,.]*(?:но )?я не могу (?:вам )?(?:помочь|ответить)",
)
_DECLINES = re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES), re.IGNORECASE)

_SOURCES = (
    r"(?:the|these|any of the) (?:provided |given |available |supplied )?"
    r"(?:passages?|documents?|sources?|context|texts?|information)"
)
_HOLD = r"(?:contain|mention|provide|include|say|specif|state|give|answer|hold|describe|cover|address)"
_NOTHING = re.compile(
    rf"(?:(?:i'm |i am )?sorry,? (?:but )?|unfortunately,? |based on {_SOURCES},? )?(?:"
    rf"{_SOURCES}(?: (?:provided|given|above))? (?:does not|do not|doesn't|don't) (?:\w+ly )?{_HOLD}"
    rf"|none of the (?:provided |given )?(?:passages|documents|sources)\b.{{0,20}}{_HOLD}"
    rf"|there is no (?:\w+ )?(?:information|mention|answer|passage)\b.{{0,80}}\bin {_SOURCES}"
    rf"|i (?:can't|cannot|could not|couldn't|was not able to|did not|didn't) find\b.{{0,80}}\bin {_SOURCES}"
    r"|die (?:bereitgestellten |angegebenen |vorliegenden )?(?:passagen|dokumente|quellen|texte|abschnitte) "
    r"(?:enthalten|nennen|sagen|erwähnen|beantworten)\b.{0,60}\b(?:keine?|nichts?)\b"
    r"|les (?:passages|documents|sources|textes)(?: \w+)? ne (?:contiennent|mentionnent|précisent|disent|répondent)\b"
    r"|l[oa]s (?:pasajes|documentos|fuentes|textos)(?: \w+)? no (?:contienen|mencionan|indican|dicen|responden)\b"
    r")",
    re.IGNORECASE,
)


def declines(text: str) -> bool:
    """Whether a sentence is one in which a model declines to answer at all ("I cannot help with that")."""
    return _DECLINES.match(_bare(text)) is not None


def finds_nothing(text: str) -> bool:
    """Whether a sentence says that the passages do not hold the answer."""
    return _NOTHING.match(_bare(text)) is not None


def _bare(text: str) -> str:
    return " ".join(text.lstrip(" \t\n*_#>\"'-").replace("\u2019", "'").split())[:300]
