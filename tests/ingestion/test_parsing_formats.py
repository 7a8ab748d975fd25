"""What each format becomes: small documents written here, read through the real parser process."""

from __future__ import annotations

import email.message
import email.policy
import io
import textwrap
from collections.abc import Iterator

import pytest

from ingestion.corpus.records import ParsedDocument
from ingestion.parsing import DocumentParser
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import assert_well_formed, blocks_of, code_of, document_source


@pytest.fixture(scope="module")
def parser() -> Iterator[DocumentParser]:
    with DocumentParser(ParsingSettings()) as opened:
        yield opened


def read(parser: DocumentParser, name: str, data: bytes | str, media_type: str | None = None) -> ParsedDocument:
    document = parser.parse(document_source(name, data, media_type=media_type))
    assert_well_formed(document)
    return document


def test_markdown_is_the_source_without_its_front_matter(parser: DocumentParser) -> None:
    body = "# Restart `gatehouse`\n\nRun:\n\n1. Drain:\n\n   ```bash\n   # not a heading\n   tw drain  --all\n   ```\n"
    front = "---\ntitle: Gateway: restart\ntags: [edge, gateway]\nupdated: 2026-02-17\n---\n"
    document = read(parser, "a.md", "\ufeff" + (front + body).replace("\n", "\r\n"))
    assert document.text == body
    assert document.title == "Gateway: restart"
    assert document.media_type == "text/markdown"
    assert blocks_of(document) == [
        ("heading", "# Restart `gatehouse`"),
        ("paragraph", "Run:"),
        ("list_item", "1. Drain:"),
        ("code", "   ```bash\n   # not a heading\n   tw drain  --all\n   ```"),
    ]


def test_front_matter_becomes_metadata(parser: DocumentParser) -> None:
    front = "---\ntitle: Restart\ntags: [edge, 502]\nupdated: 2026-02-17\npriority: 2\nowner: {team: edge}\n---\n"
    document = read(parser, "a.md", front + "Text.")
    assert document.metadata == {"title": "Restart", "tags": ["edge", "502"], "updated": "2026-02-17", "priority": 2}


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("# The **first** [heading](x)\n\ntext", "The first heading"),
        ("text only", "restart-guide"),
        ("Under\nlined\n===\n\ntext", "Under lined"),
        ("+++\ntitle = 'From TOML'\n+++\n# Other", "From TOML"),
        ("---\n\nnot front matter: a rule\n\n---\n\n# H", "H"),
    ],
)
def test_title_of_markdown(parser: DocumentParser, source: str, title: str) -> None:
    assert read(parser, "docs/restart-guide.md", source).title == title


def test_quotes_keep_their_code(parser: DocumentParser) -> None:
    document = read(parser, "a.md", "> Careful:\n>\n> ```\n> rm  -rf x\n> ```\n>\n> Really.\n\n> plain\n> quote\n")
    assert code_of(document) == ["> ```\n> rm  -rf x\n> ```\n>"]
    assert blocks_of(document)[-1] == ("quote", "> plain\n> quote")


def test_html_keeps_the_content_and_drops_the_frame(parser: DocumentParser) -> None:
    page = """<html><head><title>Gateway | Site</title><meta name="description" content="How to"></head><body>
    <nav><a href="/">Home</a></nav><header><img alt="logo"></header><aside>Ads</aside><div class="sidebar">Menu</div>
    <h1>Gateway<a class="headerlink">#</a></h1><p>Restart <code>gatehouse</code>
    like   this:</p><pre><code>kubectl get \\
      pods   -n edge

    echo &lt;done&gt;</code></pre>
    <ol start="3"><li>Third<ul><li>inner</li></ul></li><li>Fourth<pre>x  y</pre></li></ol>
    <table><tr><th>Code</th><th>Meaning</th></tr><tr><td>GH-1</td><td>a | b</td></tr></table>
    <table><tr><td><p>layout</p><pre>in a table</pre></td></tr></table>
    <blockquote>Said so.</blockquote><script>bad()</script><footer>Imprint</footer></body></html>"""
    document = read(parser, "a.html", page)
    assert document.title == "Gateway"
    assert document.metadata == {"description": "How to", "language": "en"}
    assert blocks_of(document) == [
        ("heading", "Gateway"),
        ("paragraph", "Restart gatehouse like this:"),
        ("code", "kubectl get \\\n      pods   -n edge\n\n    echo <done>"),
        ("list_item", "3. Third"),
        ("list_item", "- inner"),
        ("list_item", "4. Fourth"),
        ("code", "x  y"),
        ("table", "| Code | Meaning |\n| --- | --- |\n| GH-1 | a \\| b |"),
        ("paragraph", "layout"),
        ("code", "in a table"),
        ("quote", "Said so."),
    ]


def test_plain_text(parser: DocumentParser) -> None:
    source = textwrap.dedent("""\
        PRINTER NOTES
        =============
        Ask first.

        1. Blank label
        --------------
        Sync:

            tw label  sync

        - one
          more of it
        - two

        TEAM     EXT.
        Edge     4110
        Money    4130
        """)
    document = read(parser, "a.txt", source)
    assert document.text == source
    assert document.title == "PRINTER NOTES"
    assert [kind for kind, _ in blocks_of(document)] == [
        "heading", "paragraph", "heading", "paragraph", "code", "list_item", "list_item", "table"
    ]  # fmt: skip
    assert code_of(document) == ["    tw label  sync"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp1251"])
def test_encodings_of_text(parser: DocumentParser, encoding: str) -> None:
    words = "Обслуживание базы данных и перезапуск шлюза. " if encoding == "cp1251" else "Größe prüfen, dann öffnen. "
    assert read(parser, "a.txt", (words * 20).encode(encoding)).text == words * 20


def test_csv_rows_can_be_read_alone(parser: DocumentParser) -> None:
    document = read(parser, "a.csv", 'Code;Meaning;Note\nGH-5021;"No upstream; at all";\nGH-5022;Closed;retry\n')
    assert (
        document.text == "Code: GH-5021 | Meaning: No upstream; at all\nCode: GH-5022 | Meaning: Closed | Note: retry"
    )


def test_json_values_carry_their_paths(parser: DocumentParser) -> None:
    document = read(parser, "a.json", '{"title": "Limits", "api": {"rate": 50, "keys": ["a", "b"]}, "none": null}')
    assert document.title == "Limits"
    assert document.text == "title: Limits\n\napi.rate: 50\napi.keys: a, b"
    lines = read(parser, "a.jsonl", '{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n')
    assert [text for _, text in blocks_of(lines)] == ["id: 1\ntext: one", "id: 2\ntext: two"]


def test_pdf_has_pages(parser: DocumentParser) -> None:
    document = read(parser, "a.pdf", hostile.pdf([["First page."], ["Second page."]]))
    assert [(element.page, element.span.of(document.text)) for element in document.elements] == [
        (1, "First page."),
        (2, "Second page."),
    ]


def test_pdf_headings_and_code_by_their_fonts(parser: DocumentParser) -> None:
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target)
    for font, size, left, bottom, line in [
        ("Helvetica-Bold", 18, 72, 760, "Failover"),
        ("Helvetica", 10, 72, 730, "Fence the north before anything is started,"),
        ("Helvetica", 10, 72, 718, "and wait for its answer."),
        ("Courier", 10, 72, 690, "for x in a; do"),
        ("Courier", 10, 84, 678, "tw fence  $x"),
        ("Courier", 10, 72, 666, "done"),
    ]:
        canvas.setFont(font, size)
        canvas.drawString(left, bottom, line)
    canvas.save()
    document = read(parser, "a.pdf", target.getvalue())
    assert document.title == "Failover"
    assert blocks_of(document) == [
        ("heading", "Failover"),
        ("paragraph", "Fence the north before anything is started,\nand wait for its answer."),
        ("code", "for x in a; do\n  tw fence  $x\ndone"),
    ]


def test_word(parser: DocumentParser) -> None:
    import docx

    target = io.BytesIO()
    written = docx.Document()
    written.add_heading("Checklist", 1)
    written.add_paragraph("Two of us are on site from eleven in the evening.")
    written.add_paragraph("Order two lines.", style="List Bullet")
    table = written.add_table(rows=2, cols=2)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells), ["Device", "Port", "Panel", "443"], strict=True
    ):
        cell.text = text
    written.save(target)
    document = read(parser, "a.docx", target.getvalue())
    assert document.title == "Checklist"
    assert blocks_of(document) == [
        ("heading", "Checklist"),
        ("paragraph", "Two of us are on site from eleven in the evening."),
        ("list_item", "- Order two lines."),
        ("table", "| Device | Port |\n| --- | --- |\n| Panel | 443 |"),
    ]


def test_powerpoint_slides_are_pages(parser: DocumentParser) -> None:
    import pptx

    target = io.BytesIO()
    written = pptx.Presentation()
    for title, point in (("Numbers", "Two incidents"), ("Decisions", "Move the brokers")):
        slide = written.slides.add_slide(written.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = point
    written.save(target)
    document = read(parser, "a.pptx", target.getvalue())
    assert [(element.page, element.kind.value) for element in document.elements] == [
        (1, "heading"), (1, "list_item"), (2, "heading"), (2, "list_item")
    ]  # fmt: skip


def test_excel_rows_name_their_columns(parser: DocumentParser) -> None:
    import openpyxl

    target = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.title = "Hosts"
    for row in (["Host", "Memory GB", "Deploys"], ["pg-main-1", 256.0, True], ["gw-01", None, False]):
        book.active.append(row)
    book.create_sheet("Hidden").sheet_state = "hidden"
    book["Hidden"].append(["secret", "value"])
    book.save(target)
    document = read(parser, "hosts.xlsx", target.getvalue())
    assert blocks_of(document) == [
        ("heading", "Hosts"),
        ("table", "Host: pg-main-1 | Memory GB: 256 | Deploys: yes"),
        ("table", "Host: gw-01 | Deploys: no"),
    ]


def test_mail_begins_with_its_headers(parser: DocumentParser) -> None:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "Edge <edge@a.example>", "all@a.example", "Réstart"
    message.set_content("Hello,\n\n    tw drain  --all\n\n> quoted\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="x.bin")
    document = read(parser, "a.eml", bytes(message))
    assert document.title == "Réstart"
    assert blocks_of(document) == [
        ("paragraph", "From: Edge <edge@a.example>\nTo: all@a.example\nSubject: Réstart"),
        ("paragraph", "Hello,"),
        ("code", "    tw drain  --all"),
        ("quote", "> quoted"),
    ]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.rst", "Restart\n=======\n\nRun::\n\n   tw drain  --all\n     --now\n"),
        ("a.org", "* Restart\n\nRun:\n\n#+begin_src sh\ntw drain  --all\n  --now\n#+end_src\n"),
    ],
)
def test_rst_and_org_keep_code(parser: DocumentParser, name: str, source: str) -> None:
    document = read(parser, name, source)
    assert document.title == "Restart"
    assert code_of(document) == ["tw drain  --all\n  --now"]


def test_included_files_of_this_machine_are_not_read(parser: DocumentParser) -> None:
    source = "Title\n=====\n\nText.\n\n.. include:: /etc/passwd\n\n.. literalinclude:: /etc/passwd\n"
    assert "root:" not in read(parser, "a.rst", source).text


def test_rtf(parser: DocumentParser) -> None:
    assert "Restart the gateway" in read(parser, "a.rtf", r"{\rtf1\ansi Restart the gateway\par}").text


def test_media_type_decides_for_text_without_a_file_name(parser: DocumentParser) -> None:
    document = read(parser, "orders/17.pdf", "# Order\n\nA row of a table.", media_type="text/markdown")
    assert document.title == "Order"
    assert document.media_type == "text/markdown"


def test_the_callers_title_wins(parser: DocumentParser) -> None:
    assert parser.parse(document_source("a.md", "# Own\n\ntext", title="Given")).title == "Given"
