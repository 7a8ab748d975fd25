"""Builders of files that harm whoever opens them carelessly; each is small and made on the spot."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

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
