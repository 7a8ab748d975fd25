"""Admonitions, links, code and languages: what a reader of the chunk needs is still in the text."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest

from ingestion.corpus.records import ParsedDocument
from ingestion.parsing import DocumentParser
from ingestion.parsing.language import language_code
from ingestion.settings import ParsingSettings
from tests.ingestion.documents import assert_well_formed, blocks_of, code_of, document_source

_ENGLISH = "The gateway is restarted by the person on duty, and that takes about fourteen minutes."
_GERMAN = "Das Gateway wird von der Bereitschaft neu gestartet, und das dauert etwa vierzehn Minuten."


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings()) as opened:
        yield opened


def read(parser: DocumentParser, name: str, data: bytes | str) -> ParsedDocument:
    document = parser.parse(document_source(name, data))
    assert_well_formed(document)
    return document


def test_bodies_of_admonitions_are_no_code(parser: DocumentParser) -> None:
    source = (
        '!!! note "Careful"\n    Drain first.\n\n    ```bash\n    tw drain  --all\n    ```\n\n    Then wait.\n\n'
        '??? tip\n    - one\n\n=== "Linux"\n\n    Text.\n\nAfter.\n'
    )
    document = read(parser, "a.md", source)
    assert document.text == source
    assert blocks_of(document) == [
        ("paragraph", '!!! note "Careful"'),
        ("paragraph", "Drain first."),
        ("code", "    ```bash\n    tw drain  --all\n    ```"),
        ("paragraph", "Then wait."),
        ("paragraph", "??? tip"),
        ("list_item", "- one"),
        ("paragraph", '=== "Linux"'),
        ("paragraph", "Text."),
        ("paragraph", "After."),
    ]


def test_containers_and_alerts(parser: DocumentParser) -> None:
    source = ":::warning Title\nBody.\n```sh\na  b\n```\n:::\n\n> [!NOTE]\n> Said.\n\n    indented  code\n"
    assert blocks_of(read(parser, "a.md", source)) == [
        ("paragraph", ":::warning Title"),
        ("paragraph", "Body."),
        ("code", "```sh\na  b\n```"),
        ("paragraph", ":::"),
        ("quote", "> [!NOTE]\n> Said."),
        ("code", "    indented  code"),
    ]


def test_links_of_pages_keep_their_addresses(parser: DocumentParser) -> None:
    page = """<html lang="de-AT"><body><h2><a href="https://a.example/h">Heading</a></h2>
    <p>See <a href="https://a.example/run?x=1">the <b>runbook</b></a>, <a href="../b.html">that</a>,
    <a href="#part">here</a>, <a href="javascript:x()">run</a>, <a href="https://a.example/">a.example</a>.</p>
    <table><tr><th>Name</th><th>Where</th></tr><tr><td>gw</td><td><a href="https://g.example">g</a></td></tr></table>
    </body></html>"""
    document = read(parser, "a.html", page)
    assert document.metadata["language"] == "de"
    assert blocks_of(document) == [
        ("heading", "Heading"),
        ("paragraph", "https://a.example/h"),
        ("paragraph", "See the runbook (https://a.example/run?x=1), that (../b.html), here, run, a.example."),
        ("table", "| Name | Where |\n| --- | --- |\n| gw | g (https://g.example) |"),
    ]


def test_relative_links_are_completed_where_the_page_says_how(parser: DocumentParser) -> None:
    page = '<html><head><base href="https://a.example/docs/"></head><body><a href="b.html">that</a></body></html>'
    assert read(parser, "a.html", page).text == "that (https://a.example/docs/b.html)"


def test_cookie_banners_go_and_pages_about_cookies_stay(parser: DocumentParser) -> None:
    page = """<body><div id="onetrust-banner-sdk"><h2>We use cookies</h2><button>Accept</button></div>
    <div class="cookie-consent">Cookies!</div><div id="footer">Imprint</div><h1>Cookies</h1>
    <div class="section" id="cookie-consent"><h2>Consent</h2><p>How we ask.</p></div></body>"""
    assert [text for _, text in blocks_of(read(parser, "a.html", page))] == ["Cookies", "Consent", "How we ask."]


def test_word_keeps_links_lists_and_code(parser: DocumentParser) -> None:
    import docx
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    written = docx.Document()
    written.add_heading("Drain", 2)
    paragraph = written.add_paragraph("See ")
    link = OxmlElement("w:hyperlink")
    link.set(qn("r:id"), written.part.relate_to("https://a.example/x", RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    run = OxmlElement("w:r")
    text = OxmlElement("w:t")
    text.text = "the runbook"
    run.append(text)
    link.append(run)
    paragraph._p.append(link)
    for line in ("for x in a b; do", "    tw drain  $x", "", "done"):
        written.add_paragraph().add_run(line).font.name = "Courier New"
    for item in ("first", "second"):
        written.add_paragraph(item, style="List Number")
    target = io.BytesIO()
    written.save(target)
    document = read(parser, "a.docx", target.getvalue())
    assert blocks_of(document) == [
        ("heading", "Drain"),
        ("paragraph", "See the runbook (https://a.example/x)"),
        ("code", "for x in a b; do\n    tw drain  $x\n\ndone"),
        ("list_item", "1. first"),
        ("list_item", "2. second"),
    ]


def test_opendocument_keeps_links_lists_and_code(parser: DocumentParser) -> None:
    content = """<?xml version="1.0"?><o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
    xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><o:body><o:text>
    <text:h text:outline-level="2">Drain</text:h>
    <text:p>See <text:a xlink:href="https://a.example/x">the runbook</text:a>.</text:p>
    <text:p text:style-name="Preformatted_20_Text">if x; then<text:line-break/><text:s text:c="4"/>tw drain</text:p>
    <text:p text:style-name="Preformatted_20_Text">fi</text:p>
    <text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>two</text:p></text:list-item>
    </text:list></text:list-item></text:list>
    <table:table><table:table-row><table:table-cell><text:p>A</text:p></table:table-cell><table:table-cell><text:p>B
    </text:p></table:table-cell></table:table-row><table:table-row><table:table-cell
    table:number-columns-repeated="2"><text:p>1</text:p></table:table-cell></table:table-row></table:table>
    </o:text></o:body></o:document-content>"""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", content)
    assert blocks_of(read(parser, "a.odt", target.getvalue())) == [
        ("heading", "Drain"),
        ("paragraph", "See the runbook (https://a.example/x)."),
        ("code", "if x; then\n    tw drain\nfi"),
        ("list_item", "- one"),
        ("list_item", "- two"),
        ("table", "| A | B |\n| --- | --- |\n| 1 | 1 |"),
    ]


def test_restructured_text_keeps_its_levels_and_tabs(parser: DocumentParser) -> None:
    source = "Title\n=====\n\nSub\n---\n\nText `link <http://a.example/x>`_.\n\n"
    source += ".. code-block:: make\n\n   all:\n   \ttw  drain\n"
    document = read(parser, "a.rst", source)
    assert [(element.kind.value, element.level) for element in document.elements][:2] == [
        ("heading", 1),
        ("heading", 2),
    ]
    assert "Text link (http://a.example/x)." in document.text
    assert code_of(document) == ["all:\n\ttw  drain"]


def test_a_row_in_the_middle_of_a_sheet_names_its_columns(parser: DocumentParser) -> None:
    rows = "host,port,2024,host\n" + "".join(f"gw-{number},443,{number},b\n" for number in range(1_000))
    texts = [text for _, text in blocks_of(read(parser, "a.csv", rows.replace("port,2024,host", "port,2024,peer")))]
    assert texts[500] == "host: gw-500 | port: 443 | 2024: 500 | peer: b"


@pytest.mark.parametrize(
    ("name", "source", "language"),
    [
        ("a.md", _ENGLISH, "en"),
        ("a.md", _GERMAN, "de"),
        ("a.txt", "El servicio se reinicia a mano y tarda unos catorce minutos en volver a estar listo.", "es"),
        ("a.txt", "当直の担当者がゲートウェイを再起動します。約十四分かかります。", "ja"),
        ("a.csv", f"Frage,Antwort\nWas tun?,{_GERMAN}\n", "de"),
        ("a.md", f"---\nlang: fr-CA\n---\n{_ENGLISH}", "fr"),
        ("a.md", f"---\nlanguage: unknown\n---\n{_ENGLISH}", "en"),
        ("a.html", f'<html lang="nl"><body><p>{_ENGLISH}</p></body></html>', "nl"),
        ("a.md", f"{_GERMAN}\n\n```\n{_ENGLISH * 20}\n```\n", "de"),
        ("a.md", "Restart now", None),
        ("a.md", f"```\n{_ENGLISH}\n```", None),
        ("a.txt", "10.0.0.1 443 open\n" * 20, None),
    ],
)
def test_languages(parser: DocumentParser, name: str, source: str, language: str | None) -> None:
    assert read(parser, name, source).metadata.get("language") == language


@pytest.mark.parametrize(("tag", "code"), [("de-AT", "de"), ("en_US.UTF-8", "en"), ("xx", None), ("German", None)])
def test_tags_of_languages(tag: str, code: str | None) -> None:
    assert language_code(tag) == code
