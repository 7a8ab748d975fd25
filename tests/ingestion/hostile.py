"""Builders of files that harm whoever opens them carelessly; each is small and made on the spot."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

_CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx(paragraphs: list[str], extra: dict[str, bytes] | None = None) -> bytes:
    """A Word document with these paragraphs and further parts."""
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    document = f'<?xml version="1.0"?><w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return archive(
        {
            "[Content_Types].xml": _CONTENT_TYPES.encode(),
            "_rels/.rels": _RELATIONS.encode(),
            "word/document.xml": document.encode(),
            **(extra or {}),
        }
    )


def archive(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in parts.items():
            written.writestr(name, data)
    return target.getvalue()


def zip_bomb(megabytes: int = 60) -> bytes:
    """A Word document one of whose parts is a thousand times larger than the file."""
    return docx(["harmless"], {"word/media/bomb.bin": bytes(megabytes << 20)})


def lying_zip_bomb(megabytes: int = 60) -> bytes:
    """The same, declaring that all its parts are small."""
    data = bytearray(zip_bomb(megabytes))
    position = data.find(b"PK\x01\x02")
    while position >= 0:
        struct.pack_into("<I", data, position + 24, 10)
        position = data.find(b"PK\x01\x02", position + 4)
    return bytes(data)


def crowded_zip(entries: int = 12_000) -> bytes:
    """A Word document of very many parts."""
    return docx(["harmless"], {f"word/{number}": b"" for number in range(entries)})


def encrypted_zip() -> bytes:
    """A Word document whose parts claim to be encrypted, as a ZIP with a password does."""
    data = bytearray(docx(["secret"]))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = data.find(mark)
        while position >= 0:
            data[position + offset] |= 1
            position = data.find(mark, position + 4)
    return bytes(data)


def encrypted_docx() -> bytes:
    """A Word document saved with a password: an OLE container."""
    from msoffcrypto.format.ooxml import OOXMLFile

    target = io.BytesIO()
    OOXMLFile(io.BytesIO(docx(["secret"]))).encrypt("password", target)
    return target.getvalue()


def pdf(pages: list[list[str]], password: str | None = None) -> bytes:
    """A PDF with these lines on its pages."""
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target, encrypt=password)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 760 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def scanned_pdf() -> bytes:
    """A PDF whose only page is a picture."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target)
    canvas.drawImage(ImageReader(io.BytesIO(png())), 72, 400, 200, 200)
    canvas.showPage()
    canvas.save()
    return target.getvalue()


def exploding_pdf(levels: int = 9, fan: int = 12) -> bytes:
    """A PDF of 3 kB that draws a text `fan ** levels` times: each form calls the next `fan` times."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
        " /Resources << /XObject << /F 6 0 R >> >> >>",
        _stream("", "/F Do"),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for level in range(levels):
        resources = f"/Resources << /XObject << /F {7 + level} 0 R >> >>"
        objects.append(_stream(f"/Type /XObject /Subtype /Form /BBox [0 0 600 800] {resources}", "/F Do " * fan))
    font = "/Resources << /Font << /A 5 0 R >> >>"
    text = "BT /A 12 Tf 72 700 Td (exploding) Tj ET"
    objects.append(_stream(f"/Type /XObject /Subtype /Form /BBox [0 0 600 800] {font}", text))
    return _pdf_file(objects)


def _stream(facts: str, content: str) -> str:
    return f"<< {facts} /Length {len(content)} >>\nstream\n{content}\nendstream"


def _pdf_file(objects: list[str]) -> bytes:
    data = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def png() -> bytes:
    """A grey picture of 8 by 8 dots."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([200] * 8) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def noise(size: int = 20_000) -> bytes:
    """Bytes without any meaning, the same each time."""
    return random.Random(7).randbytes(size)


def swelling_json(megabytes: int = 24) -> bytes:
    """JSON that takes thirty times its size in memory: nothing but empty lists."""
    return b"[" + b"[]," * (megabytes * (1 << 20) // 3) + b"[]]"


def deep_html(depth: int = 50_000) -> bytes:
    """A page whose tree takes time by the square of its depth to build, with a sentence at the bottom."""
    return b"<html><body>" + b"<div>" * depth + b"<p>at the bottom</p>"


def brackets(size: int = 100_000) -> bytes:
    """Markdown whose inline parsing takes quadratic time."""
    return b"# Title " + b"[" * size + b"\n\n" + b"![" * size


def entity_bomb(levels: int = 12) -> bytes:
    """A Word document whose text is an entity that stands for ten others, and so on: the billion laughs."""
    entities = '<!ENTITY e0 "laugh">' + "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels)
    )
    document = (
        f'<?xml version="1.0"?><!DOCTYPE d [{entities}]><w:document xmlns:w="{_WORD}"><w:body><w:p><w:r>'
        f"<w:t>&e{levels - 1};</w:t></w:r></w:p></w:body></w:document>"
    )
    return docx([], {"word/document.xml": document.encode()})


def outside_entity() -> bytes:
    """A Word document that asks for a file of the machine that reads it."""
    document = (
        '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        f'<w:document xmlns:w="{_WORD}"><w:body><w:p><w:r><w:t>before &e; after</w:t></w:r></w:p></w:body></w:document>'
    )
    return docx([], {"word/document.xml": document.encode()})


def deep_docx(depth: int = 50_000) -> bytes:
    """A Word document of tables within tables."""
    body = "<w:tbl><w:tr><w:tc>" * depth + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * depth
    document = f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return docx([], {"word/document.xml": document.encode()})


def nested_docx(depth: int = 60) -> bytes:
    """A Word document of tables in both cells of tables, as deep as the XML parser allows."""
    body = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc>" * depth
    body += "<w:p/>" + "</w:tc></w:tr></w:tbl>" * depth
    document = f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return docx([], {"word/document.xml": document.encode()})


def far_cell() -> bytes:
    """A sheet with a value in its first and its last cell, a million rows apart."""
    import openpyxl

    target = io.BytesIO()
    book = openpyxl.Workbook()
    book.active["A1"] = "first"
    book.active["XFD1048576"] = "last"
    book.save(target)
    return target.getvalue()


def wide_csv(columns: int = 300_000) -> bytes:
    """Three rows of very many columns."""
    return b"\n".join(b",".join(b"%s%d" % (mark, n) for n in range(columns)) for mark in (b"name", b"a", b"b"))


def long_csv(rows: int = 400_000) -> bytes:
    return b"host,port,note\n" + b"".join(b"gw-%d,443,open\n" % n for n in range(rows))


def open_quote_csv(size: int = 4_000_000) -> bytes:
    """A quote that is never closed."""
    return b'a,b\n"' + b"x,y\n" * (size // 4)


def crowded_pdf(objects: int = 400_000) -> bytes:
    """A PDF whose page tree names the same page very often, in a file of very many objects."""
    kids = "3 0 R " * 100_000
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count 100000 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>",
    ]
    body = b"%PDF-1.4\n" + b"".join(f"{n} 0 obj\n{part}\nendobj\n".encode() for n, part in enumerate(parts, start=1))
    body += b"".join(b"%d 0 obj\n<< >>\nendobj\n" % n for n in range(4, objects))
    return body + b"trailer\n<< /Size %d /Root 1 0 R >>\n%%%%EOF" % objects


def deep_mail(depth: int = 5_000) -> bytes:
    """A message in a message in a message."""
    head = b"From: a@a.example\nSubject: deep\nContent-Type: message/rfc822\n\n"
    return head * depth + b"From: a@a.example\nSubject: bottom\n\ntext\n"


def crowded_mail(parts: int = 20_000) -> bytes:
    """A message of very many attachments."""
    head = b"From: a@a.example\nSubject: many\nContent-Type: multipart/mixed; boundary=x\n\n"
    part = b"--x\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\ntext\n"
    return head + part * parts + b"--x--\n"


def picture_bomb(side: int = 60_000) -> bytes:
    """A PNG of a few kilobytes that unpacks to gigabytes."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")


def endless_org() -> bytes:
    """A table row on which pandoc's reader of Org never ends; its own writer makes such rows."""
    return b"| A | B |\n|---+---|\n| 1 | x\\\\ |\n|   | y |\n"


Bombs = dict[str, Callable[[], bytes]]


def bombs() -> Bombs:
    """Files by name, each of which is read or rejected with a code, and harms nobody."""
    return {**_packages_and_data(), **_pages_and_markdown(), **_text_and_mail(), **_mislabelled()}


def _packages_and_data() -> Bombs:
    return {
        "zip-bomb.docx": zip_bomb,
        "lying-zip-bomb.docx": lying_zip_bomb,
        "crowded-zip.docx": crowded_zip,
        "entity-bomb.docx": entity_bomb,
        "outside-entity.docx": outside_entity,
        "deep.docx": deep_docx,
        "nested-tables.docx": nested_docx,
        "far-cell.xlsx": far_cell,
        "wide.csv": wide_csv,
        "long.csv": long_csv,
        "open-quote.csv": open_quote_csv,
        "exploding.pdf": exploding_pdf,
        "crowded.pdf": crowded_pdf,
        "swelling.json": swelling_json,
        "deep.json": lambda: b"[" * 100_000,
        "deep-closed.json": lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "long-line.jsonl": lambda: b'{"a": "' + b"x" * 5_000_000 + b'"}',
    }


def _pages_and_markdown() -> Bombs:
    return {
        "deep.html": deep_html,
        "deep-lists.html": lambda: b"<ul><li>" * 20_000 + b"bottom",
        "deep-links.html": lambda: b"<a href=x>" * 20_000 + b"bottom",
        "deep-tables.html": lambda: b"<table><tr><td>a<td>" * 3_000 + b"bottom",
        "wide-table.html": lambda: b"<table>" + b"<tr><td colspan=1000>a<td colspan=1000>b" * 5_000,
        "attributes.html": lambda: b"<p " + b"a " * 500_000 + b">text",
        "brackets.md": brackets,
        "deep-quotes.md": lambda: b">" * 50_000 + b" bottom",
        "deep-lists.md": lambda: b"".join(b"  " * level + b"- a\n" for level in range(2_000)),
        "deep-list-marks.md": lambda: b"- " * 50_000 + b"bottom",
        "admonitions.md": lambda: b"".join(b"    " * level + b"!!! note\n" for level in range(1_000)) + b"text",
        "long-table.md": lambda: b"|a|b|\n|-|-|\n" + b"|x|y|\n" * 200_000,
        "wide-table.md": lambda: b"|a" * 50_000 + b"|\n" + b"|-" * 50_000 + b"|\n" + b"|x" * 50_000 + b"|\n",
        "references.md": lambda: b"".join(b"[%d]: http://a.example\n" % n for n in range(50_000)),
        "front-matter-rules.md": lambda: b"---\n" + b"a: b\n---x\n" * 100_000,
        "front-matter-aliases.md": lambda: (
            b"---\na0: &a0 [x, x]\n"
            + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
            + b"---\ntext"
        ),
        "front-matter-deep.md": lambda: b"---\na: " + b"[" * 20_000 + b"\n---\ntext",
        "fences.md": lambda: b"```\n" * 100_000,
    }


def _text_and_mail() -> Bombs:
    return {
        "spaces.txt": lambda: b"a" + b" " * 3_000_000 + b"b",
        "one-word.txt": lambda: b"x" * 5_000_000,
        "underlines.txt": lambda: b"a\n" + b"=" * 2_000_000 + b"\n",
        "columns.txt": lambda: b"a  " * 500_000,
        "deep.eml": deep_mail,
        "crowded.eml": crowded_mail,
        "long-header.eml": lambda: b"From: a@a.example\nSubject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\ntext",
        "addresses.eml": lambda: b"From: " + b"<" * 50_000 + b"\nSubject: x\n\ntext",
        "deep.rtf": lambda: b"{\\rtf1" + b"{" * 100_000 + b"text",
        "deep.rst": lambda: b"".join(b"  " * level + b"* a\n\n" for level in range(1_000)),
        "endless.org": endless_org,
        "bomb.png": picture_bomb,
    }


def _mislabelled() -> Bombs:
    return {
        "noise.pdf": noise,
        "noise.docx": noise,
        "noise.msg": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + noise(),
        "zeros.txt": lambda: bytes(1_000_000),
        "pdf-as-text.txt": lambda: pdf([["text"]]),
        "docx-as-pdf.pdf": lambda: docx(["text"]),
        "html-as-docx.docx": lambda: b"<html><body>text</body></html>",
    }
