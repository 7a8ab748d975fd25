"""Looks into zip-based documents before any library opens them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.formats import ZIP_BASED, Format

_MOST_ENTRIES = 10_000
_BOMB_RATIO = 250
_RATIO_FREE_BYTES = 20_000_000
"""Below this size no ratio is suspicious: a blank sheet compresses a thousandfold."""
_BLOCK = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED_FLAG = 0x1

_CONTENTS: dict[str, Format] = {
    "word/": Format.DOCX,
    "ppt/": Format.PPTX,
    "xl/": Format.XLSX,
}
_MIMETYPES: dict[bytes, Format] = {
    b"application/vnd.oasis.opendocument.text": Format.ODT,
    b"application/epub+zip": Format.EPUB,
}


def inspect_archive(data: bytes, max_unpacked_bytes: int) -> Format | None:
    """The document format that this archive is, or None for an archive of another kind.

    Raises:
        DocumentRejected: CORRUPT, ENCRYPTED, or ARCHIVE_BOMB by number of entries, size, or ratio, declared or real.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_declared(entries, len(data), max_unpacked_bytes)
            _check_real(data, entries, max_unpacked_bytes)
            found = _identify(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError, OSError) as error:
        raise DocumentRejected(
            RejectionCode.CORRUPT,
            "The file is damaged or cut short. Open it in its program, save it anew, upload that.",
        ) from error
    assert found is None or found in ZIP_BASED
    return found


def _check_declared(entries: list[zipfile.ZipInfo], size: int, limit: int) -> None:
    if len(entries) > _MOST_ENTRIES:
        raise _bomb(f"holds {len(entries):,} parts, more than the {_MOST_ENTRIES:,} allowed")
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise DocumentRejected(
            RejectionCode.ENCRYPTED, "The file is protected by a password. Save it without one and upload it again."
        )
    _check_size(sum(entry.file_size for entry in entries), size, limit)


def _check_size(unpacked: int, size: int, limit: int) -> None:
    if unpacked > limit:
        raise _bomb(f"would unpack to more than the {limit:,} bytes allowed")
    if unpacked > _RATIO_FREE_BYTES and unpacked > _BOMB_RATIO * size:
        raise _bomb(f"would unpack to {unpacked // size} times its size")


def _check_real(data: bytes, entries: list[zipfile.ZipInfo], limit: int) -> None:
    """Inflates every entry and counts, since the declared sizes may lie and not every reader heeds them."""
    total = 0
    for entry in entries:
        if entry.compress_type == zipfile.ZIP_STORED:
            total += entry.compress_size
            continue
        if entry.compress_type != zipfile.ZIP_DEFLATED:
            raise _bomb("uses a compression that documents do not use")
        header = _LOCAL_HEADER.unpack_from(data, entry.header_offset)
        start = entry.header_offset + _LOCAL_HEADER.size + header[-2] + header[-1]
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        pending = data[start : start + entry.compress_size]
        while pending and not stream.eof:
            total += len(stream.decompress(pending, _BLOCK))
            pending = stream.unconsumed_tail
            _check_size(total, len(data), limit)
    _check_size(total, len(data), limit)


def _identify(archive: zipfile.ZipFile) -> Format | None:
    names = archive.namelist()
    if "mimetype" in names:
        with archive.open("mimetype") as entry:
            return _MIMETYPES.get(entry.read(100).strip())
    if "[Content_Types].xml" in names:
        for prefix, found in _CONTENTS.items():
            if any(name.startswith(prefix) for name in names):
                return found
    return None


def _bomb(what: str) -> DocumentRejected:
    return DocumentRejected(
        RejectionCode.ARCHIVE_BOMB, f"The file {what}. If it is genuine, split it or remove large embedded media."
    )
