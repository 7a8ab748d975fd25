"""Decides a document's format by its name and its content, and rejects what contradicts itself."""

from __future__ import annotations

import re

import olefile  # type: ignore[import-untyped]

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.archives import inspect_archive
from ingestion.parsing.encoding import wide_encoding
from ingestion.parsing.formats import (
    BINARY_FORMATS,
    NAMES,
    PICTURE_SUFFIXES,
    PICTURES,
    SUFFIXES,
    ZIP_BASED,
    Format,
    proposed_format,
    suffix,
)
from ingestion.parsing.ocr import is_installed
from ingestion.settings import ParsingSettings

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PDF = re.compile(rb"%PDF-\d")
_PDF_HEAD = 1024
_TEXT_HEAD = 8192
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROLS = frozenset(range(32)) - {7, 8, 9, 10, 12, 13, 27}

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a Linux program"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xca\xfe\xba\xbe", "a compiled program"),
    (b"OggS", "an audio file"),
    (b"ID3", "an audio file"),
)
_PICTURES: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"II*\x00", Format.TIFF),
    (b"MM\x00*", Format.TIFF),
)
_OLD_OFFICE = {"WordDocument": "DOC", "Workbook": "XLS", "Book": "XLS", "PowerPoint Document": "PPT"}


def readable_suffixes() -> dict[str, Format]:
    """Suffixes of the files that can be read here: those of pictures only where text recognition is installed."""
    return {**SUFFIXES, **PICTURE_SUFFIXES} if is_installed() else dict(SUFFIXES)


def detect(name: str, data: bytes, media_type: str | None, settings: ParsingSettings) -> Format:
    """The format to read `data` as.

    Raises:
        DocumentRejected: UNSUPPORTED_TYPE, TYPE_MISMATCH, BINARY, ENCRYPTED, CORRUPT or ARCHIVE_BOMB.
    """
    proposed = proposed_format(name, media_type)
    if proposed is None:
        raise _unsupported(name, media_type)
    if data.startswith(_ZIP):
        found: Format | str = inspect_archive(data, settings.max_unpacked_bytes) or "a ZIP archive"
    elif data.startswith(_OLE):
        found = _read_ole(data, proposed)
    elif _is_pdf(data, proposed):
        found = Format.PDF
    elif data.lstrip()[:5] == b"{\\rtf":
        found = Format.RTF
    elif picture := next((kind for mark, kind in _PICTURES if data.startswith(mark)), None):
        found = picture
    elif foreign := next((what for mark, what in _FOREIGN if data.startswith(mark)), None):
        found = foreign
    else:
        return _check_text(name, data, proposed)
    if found is proposed:
        return proposed
    raise _mismatch(name, proposed, found)


def _is_pdf(data: bytes, proposed: Format) -> bool:
    """Whether a PDF begins here; a text that only mentions the mark near its beginning is none."""
    mark = _PDF.search(data[:_PDF_HEAD])
    return mark is not None and (mark.start() == 0 or proposed in BINARY_FORMATS or not _is_text(data))


def _check_text(name: str, data: bytes, proposed: Format) -> Format:
    """What bears no mark of a binary format must be text, and its format one written as text."""
    is_text = _is_text(data)
    if proposed in BINARY_FORMATS:
        if is_text:
            raise _mismatch(name, proposed, "a text file")
        raise DocumentRejected(
            RejectionCode.CORRUPT,
            f"The file does not begin as {NAMES[proposed]} does: it is damaged or of another type. Export it again.",
        )
    if proposed is Format.RTF:
        raise _mismatch(name, proposed, "a text file" if is_text else "a binary file")
    if not is_text:
        raise DocumentRejected(
            RejectionCode.BINARY,
            f"{_shown(name)} holds binary data, not {NAMES[proposed]}. Upload it under the suffix of its real format.",
        )
    return proposed


def _is_text(data: bytes) -> bool:
    """Whether the beginning and the middle hold no control characters that text does not use."""
    if data.startswith(_WIDE_MARKS) or wide_encoding(data):
        return True
    middle = len(data) // 2
    sample = data[:_TEXT_HEAD] + data[middle : middle + _TEXT_HEAD]
    controls = sum(byte in _CONTROLS for byte in sample)
    return controls <= len(sample) // 200


def _read_ole(data: bytes, proposed: Format) -> Format | str:
    """What an OLE container holds: an Outlook message, an encrypted or an old Office document."""
    try:
        with olefile.OleFileIO(data) as container:
            if container.exists("EncryptedPackage") or container.exists("EncryptionInfo"):
                raise DocumentRejected(
                    RejectionCode.ENCRYPTED,
                    "The document is protected by a password. Save it without one and upload it again.",
                )
            if container.exists("__properties_version1.0"):
                return Format.MSG
            old = next((kind for stream, kind in _OLD_OFFICE.items() if container.exists(stream)), None)
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise DocumentRejected(
            RejectionCode.CORRUPT, f"The {NAMES[proposed]} file is damaged or cut short. Save it anew and upload that."
        ) from error
    return f"an old {old} document, which has to be saved in the newer format first" if old else "an OLE container"


def _unsupported(name: str, media_type: str | None) -> DocumentRejected:
    known = ", ".join(sorted(readable_suffixes()))
    if name_suffix := suffix(name):
        what = f"Files of type {name_suffix} are not supported"
    elif media_type:
        what = f"Documents of type {media_type} are not supported"
    else:
        what = f"{_shown(name)} has no suffix that tells its type"
    return DocumentRejected(RejectionCode.UNSUPPORTED_TYPE, f"{what}. Supported are {known}.")


def _mismatch(name: str, proposed: Format, found: Format | str) -> DocumentRejected:
    if isinstance(found, Format) and found not in PICTURES:
        right = next(known for known, format_ in SUFFIXES.items() if format_ is found)
        content, remedy = f"a {NAMES[found]} file", f"Rename it to end in {right} and upload it again."
    else:
        content = f"a {NAMES[found]}" if isinstance(found, Format) else found
        remedy = "Upload the document itself."
    if found == "a ZIP archive" and proposed not in ZIP_BASED:
        remedy = "Unpack it and upload the documents in it."
    detail = f"{_shown(name)} is named as {NAMES[proposed]}, but its content is {content}. {remedy}"
    return DocumentRejected(RejectionCode.TYPE_MISMATCH, detail)


def _shown(name: str) -> str:
    """The file name as a message may carry it."""
    printable = "".join(char if char.isprintable() else "?" for char in name)
    return printable if len(printable) <= 120 else f"…{printable[-119:]}"
