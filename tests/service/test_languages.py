"""The language of short texts full of names and code, told rightly or not at all; and how models decline."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from service.generation.declining import declines, finds_nothing
from service.generation.languages import Languages

EVAL = Path(os.environ.get("PLUMBLINE_EVAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "eval")


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I restart the gateway?", "en"),
        ("What does LDG-1107 mean and is it safe to clear?", "en"),
        ("Wie starte ich das Gateway neu, ohne dass Anfragen verloren gehen?", "de"),
        ("Comment redémarrer la passerelle sans perdre les requêtes ?", "fr"),
        ("¿Cómo reinicio la pasarela sin perder las peticiones?", "es"),
        ("Hoe start ik de gateway opnieuw en wat moet ik daarna doen?", "nl"),
        ("Jak uruchomić bramę ponownie i co należy zrobić po tym?", "pl"),
        ("ゲートウェイを再起動する方法を教えてください。", "ja"),
        ("如何重启网关 gatehouse", "zh"),
        ("게이트웨이를 다시 시작하는 방법은?", "ko"),
        ("Как перезапустить шлюз, чтобы не потерять запросы?", "ru"),
        ("gateway 502 restart", None),
        ("kubectl -n edge rollout restart deployment/gatehouse", None),
        ("", None),
        ("LDG-1107?", None),
        ("`Wie geht das und was ist zu tun?`", None),
        ('What is "Der Dienst ist nicht erreichbar und wird neu gestartet"?', "en"),
        ('"Der Dienst ist nicht erreichbar und wird neu gestartet"', None),
    ],
)
def test_the_language_of_a_question(languages: Languages, text: str, language: str | None) -> None:
    assert languages.language(text) == language


QUESTION = "How do I restart the gateway and how long does the drain wait?"
FRAGE = "Wie starte ich das Gateway neu und wie lange dauert das?"


@pytest.mark.parametrize(
    ("question", "sentences", "other"),
    [
        (QUESTION, ["Der Host wird zuerst geleert.", "Das dauert 120 Sekunden."], True),
        (FRAGE, ["Drain the host before you restart it.", "The drain waits 120 seconds."], True),
        (QUESTION, ["在重启之前先排空主机。", "排空需要 120 秒。"], True),
        (QUESTION, ["Drain the host before you restart it."], False),
        (FRAGE, ["Der Host wird vor dem Neustart geleert.", "`systemctl restart the gateway and wait`"], False),
        (FRAGE, ['Die Meldung "the host is not reachable and will be restarted" ist harmlos.'], False),
        (FRAGE, ["`kubectl -n edge rollout restart deployment/gatehouse`"], False),
        (FRAGE, ["120 seconds."], False),
        ("gateway 502", ["Der Host wird zuerst geleert und dann neu gestartet."], False),
        (
            "Hvordan genstarter jeg det, og hvor længe varer det?",
            ["Det är klart efter 20 minuter och inte före."],
            False,
        ),
        (QUESTION, [], False),
    ],
)
def test_an_answer_in_another_language(languages: Languages, question: str, sentences: list[str], other: bool) -> None:
    assert languages.answers_in_other_language(question, sentences) is other


@pytest.mark.parametrize(("collection", "language"), [("xquad_en", "en"), ("xquad_de", "de")])
def test_no_question_is_told_wrongly(languages: Languages, collection: str, language: str) -> None:
    path = EVAL / "retrieval" / collection / "queries.jsonl.gz"
    if not path.is_file():
        pytest.skip("no evaluation data: set PLUMBLINE_EVAL_DATA to its folder")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        told = [languages.language(json.loads(line)["text"]) for line in lines]
    assert set(told) <= {language, None}
    assert told.count(language) >= 0.9 * len(told)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I cannot help with that.",
        "I\u2019m sorry, I can\u2019t help with that.",
        "Sorry, I am unable to answer this question.",
        "I apologize, but I cannot provide instructions for that.",
        "Unfortunately, I'm not able to help with this.",
        "As an AI language model, I do not have access to your documents.",
        "I am just an AI and have no opinion.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Leider kann ich diese Frage nicht beantworten.",
        "Als KI kann ich das nicht tun.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "对不起, 我无法回答这个问题。",
        "申し訳ありませんが、お答えできません。",
        "Извините, но я не могу помочь.",
    ],
)
def test_a_model_that_declines_is_heard(text: str) -> None:
    assert declines(text)
    assert not finds_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "Support staff cannot re-enable an endpoint.",
        "You can't help a shipper whose account is locked.",
        "The assistant cannot help with that.",
        "I do the drain first.",
        "Sorry, the page says, means that the queue is full.",
        "Unfortunately the node has to be restarted.",
        "As an administrator, run the command.",
        "Ich starte den Dienst neu.",
        "No.",
        "Drain the host before you restart it.",
        "As a result, I cannot be reached.",
    ],
)
def test_what_only_sounds_like_it_is_not(text: str) -> None:
    assert not declines(text)
    assert not finds_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "The passages do not mention a printer.",
        "The provided documents don't contain any information about that.",
        "None of the passages say which printer is used.",
        "There is no information about the printer in the passages.",
        "I could not find the answer in the provided passages.",
        "Based on the passages, there is no mention of a printer in the documents.",
        "Unfortunately, the sources do not specify it.",
        "Die Passagen enthalten dazu keine Angabe.",
        "Les passages fournis ne mentionnent pas cela.",
    ],
)
def test_a_model_that_finds_nothing_is_heard(text: str) -> None:
    assert finds_nothing(text)
    assert not declines(text)


@pytest.mark.parametrize(
    "text",
    [
        "The passage from the runbook describes three steps.",
        "The documents do not have to be printed.",
        "The information is kept for 30 days.",
        "There is no maintenance window in May.",
        "The texts are kept 60 days, but not their bodies.",
    ],
)
def test_a_sentence_about_documents_is_an_answer(text: str) -> None:
    assert not finds_nothing(text)
