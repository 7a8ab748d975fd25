"""What is known of each language: its Snowball stemmer, its function words, and whether it joins words to compounds.

Which language a text is in is `parsing.language`'s matter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ENGLISH = "en"

ALGORITHMS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""ISO 639-1 code to Snowball algorithm."""

COMPOUNDING = frozenset({"da", "de", "et", "fi", "hu", "nl", "no", "sv"})
"""Languages in which a part of a long word is a word that people search for."""

PARTICLES = frozenset({"back", "down", "off", "out", "over", "up"})
"""English: `fail over` and `time out` are also written as one word."""

_LEAST_FUNCTION_WORDS = 2
"""`die hard` is not yet German."""

_FUNCTION_WORDS = {
    "en": """
        a about after all also am an and any are as at be because been before being but by can could did do does doing
        for from had has have having he her here him his how i if in into is it its itself just me more most my no not
        of off on only or other our out over own same she should so some such than that the their them then there these
        they this those through to too under until up very was we were what when where which while who whom why will
        with would you your d ll m re s t ve didn doesn don hasn haven isn wasn weren won wouldn
    """,
    "de": """
        aber alle allem allen aller alles als also am an andere anderem anderen anderer anderes auch auf aus bei beim
        bin bis bist da dabei damit dann das dass daß dem den denn der deren des dessen dich die dies diese diesem
        diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer für gegen hab
        habe haben hat hatte hatten hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist
        ja jede jedem jeden jeder jedes jene jenem jenen jener jenes kann kannst kein keine keinem keinen keiner keines
        konnte können könnte man mehr mein meine mich mir mit muss musste müssen nach nicht nichts noch nur ob oder ohne
        sehr sein seine seinem seinen seiner seines seit sich sie sind so solche soll sollen sollte sondern sonst sowie
        um und uns unser unter vom von vor wann war waren warum was weil welche welchem welchen welcher welches wenn wer
        werde werden wem wen wessen wie wird wir wo wodurch woher wohin worden wurde wurden während würde würden zu zum
        zur zwar zwischen über
    """,
    "fr": """
        à a ai ainsi alors après as au aucun aussi autre autres aux avant avec avoir car ce ceci cela celle celles celui
        ces cet cette ceux chez ci comme comment c d dans de des donc dont du elle elles en encore entre est et eu eux
        fait font il ils j je l la là le les leur leurs lors lorsque lui m ma mais me mes moi mon même n ne ni nos notre
        nous on ont ou où par pas pendant peu peut plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s
        sa sans se selon sera ses si soit son sont sous sur t ta te tes toi ton tous tout toute toutes très tu un une
        vers vos votre vous y été était étaient être
    """,
    "es": """
        a al algo algunas alguno algunos ante antes aquel aquella aunque bajo cada como con contra cual cuales cuando
        cuándo cuanto cuánto cuántos cuál cómo de del desde donde dónde durante e el él ella ellas ellos en entre era
        eran es esa esas ese eso esos esta estas este esto estos está están fue fueron ha había han has hasta hay he la
        las le les lo los me mi mis mucho muchos muy más mí ni no nos nosotros nuestra nuestro o os otra otras otro
        otros para pero poco por porque qué que quien quién quiénes se sea según ser será si sido sin sino sobre son su
        sus sí también tan tanto te tiene tienen toda todas todo todos tras tu tus un una uno unos usted y ya yo
    """,
    "it": """
        a ad ai agli al alla alle allo anche ancora aveva avevano c che chi ci ciò coi col come con contro cosa cui d da
        dagli dai dal dalla dalle dallo degli dei del della delle dello di dove dopo dov e ed era erano essere fa fra
        fu furono gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mentre mi mia mie miei mio molto ne negli
        nei nel nella nelle nello no noi non nostra nostro o ogni per perché però più poi prima qual quale quali quando
        quanta quante quanti quanto quella quelle quelli quello questa queste questi questo qui se sei senza si sia
        siamo sono sopra sotto sta stata state stati stato su sua sue sugli sui sul sulla sulle sullo suo suoi te ti tra
        tu tua tuo tutti tutto un una uno v vi voi è
    """,
    "pt": """
        a à ao aos aquela aquele aquilo as às até com como cada contra da das de dela dele deles depois do dos durante e
        é ela elas ele eles em entre era eram essa essas esse esses esta está estão estas este estes eu foi foram há
        isso isto já lhe mais mas me mesmo meu meus minha muito na não nas nem no nos nossa nosso num numa o onde os ou
        para pela pelas pelo pelos por porque porquê qual quais quando quanto quantos que quê quem se sem ser será seu
        seus sido só sobre sua suas são também te tem têm ter teu toda todas todo todos tu tua um uma umas uns você
    """,
    "nl": """
        aan al alle alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge
        geen haar had heb hebben heeft hem het hier hij hoe hoeveel hun ik in is ja je kan kon kunnen maar me meer men
        met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit
        uw van veel voor waar waarom want waren was wat we welk welke wel werd wezen wie wij wil worden wordt zal ze zei
        zelf zich zij zijn zo zonder zou
    """,
    "sv": """
        alla allt att av blev bli blir de dem den denna deras dess dessa det detta dig din dina du där då efter ej eller
        en er ett från för ha hade han hans har henne hennes hon honom hur här i icke ingen inom inte jag ju kan kunde
        man med mellan men mig min mina mot mycket ni nu när någon något några och om oss på samma sedan sig sin sina
        sitt själv skulle som så sådan till under upp ut utan vad var vara varför varit varje vars vart vem vi vid vilka
        vilken vilket vår våra än är åt över
    """,
    "da": """
        af alle alt anden at blev blive bliver da de dem den denne der deres det dette dig din disse dog du efter eller
        en end er et for fra ham han hans har havde hende hendes her hos hun hvad hvem hvilken hvilket hvis hvor hvordan
        hvorfor hvornår i ikke ind jeg jer kan kunne man mange med meget men mig min mod ned noget nogle nu når og også
        om op os over på selv sig sin skal skulle som sådan thi til ud under var vi vil ville vor være været
    """,
    "no": """
        alle at av begge ble bli blir da de deg dem den denne der dere deres det dette din disse du eller en er et etter
        for fordi fra før ha hadde han hans har henne hennes her hun hva hvem hver hvilken hvis hvor hvordan hvorfor i
        ikke ingen inn jeg kan kom kunne man mange med meg meget mellom men min mot mye ned noe noen nå når og også om
        opp oss over på selv seg sin skal skulle slik som så til ut uten var ved vi vil ville vår være vært å
    """,
    "fi": """
        ei eivät en et että he hän häntä itse ja jo joka jos jotka kanssa koska kuin kuinka kun kuka me mihin mikä miksi
        milloin missä mitä mutta myös ne niiden niin niitä nyt näin olen oli olivat olla on ovat se sekä sen siellä sinä
        sitä tai tämä tämän te tässä tätä vain vaan voi
    """,
    "ru": """
        а без более бы был была были было быть в вам вас во вот все всего вы где да для до его ее если есть еще же за и
        из или им их к как какая какие какой когда кто ли либо мне может мы на над не него нет ни но ну о об он она они
        оно от перед по под после почему при с сколько со так также такой там то тоже только том ты у уже чего чем что
        чтобы эта эти это этот этого я
    """,  # noqa: RUF001 - these letters are Cyrillic
    "pl": """
        a aby ale bez by być był była było były co czy dla do gdy gdzie go i ich ile im ja jak jaka jaki jakie jako je
        jego jej jest jeszcze już kiedy która które który którzy lub ma mi mnie może na nad nie niż o od on ona one oni
        oraz po pod przed przez przy się są ta tak także tam te tego tej ten to tu tylko tym u w we więc z za ze że
    """,
}


def stemmed_as(language: str | None) -> str:
    """The language whose stemmer reads such a text: English for one that is unknown or has none."""
    return language if language is not None and language in ALGORITHMS else ENGLISH


def language_of(metadata: Mapping[str, object]) -> str | None:
    """What parsing found a document to be written in, ISO 639-1."""
    language = metadata.get("language")
    return language if isinstance(language, str) else None


class Stemmers:
    """Stems and function words of every language. Safe from several threads, for which stemmers themselves are not."""

    def __init__(self) -> None:
        self._stop_words = {code: frozenset(words.split()) for code, words in _FUNCTION_WORDS.items()}
        self._local = threading.local()

    def stop_words(self, language: str) -> frozenset[str]:
        """Words that say nothing about a text; none are known of most languages."""
        return self._stop_words.get(language, frozenset())

    def stem(self, words: Sequence[str], language: str) -> list[str]:
        """The stem of each casefolded word. Raises: KeyError for a language without a stemmer."""
        stemmers: dict[str, Any] = self._local.__dict__
        if language not in stemmers:
            import Stemmer

            stemmers[language] = Stemmer.Stemmer(ALGORITHMS[language])
        stems: list[str] = stemmers[language].stemWords(words)
        return stems

    def guess(self, words: Iterable[str], languages: Sequence[str]) -> str | None:
        """Of the languages, the one that has most of the words for function words; None if none has two of them."""
        distinct = set(words)
        counts = [len(distinct & self.stop_words(language)) for language in languages]
        most = max(counts, default=0)
        return languages[counts.index(most)] if most >= _LEAST_FUNCTION_WORDS else None
