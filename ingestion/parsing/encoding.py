"""Bytes of a text file to characters."""

from __future__ import annotations

import codecs

from charset_normalizer import from_bytes

from ingestion.errors import DocumentRejected, RejectionCode

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 200_000
_WIDE_SAMPLE_BYTES = 4096
_WIDE_LEAST_BYTES = 8


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of `data`: by its byte order mark, as UTF-8, as `declared`, or in the encoding it looks most like.

    Raises:
        DocumentRejected: BINARY if no encoding makes text of it.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _checked(data.decode(encoding, errors="replace"))
    if wide := wide_encoding(data):
        return _checked(data.decode(wide, errors="replace"))
    try:
        return _checked(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    return _checked(_decode_unmarked(data, declared))


def wide_encoding(data: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` if every other byte is nearly always zero, as in Latin text without its mark."""
    sample = data[:_WIDE_SAMPLE_BYTES]
    if len(sample) < _WIDE_LEAST_BYTES or len(data) % 2:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd < 0.05 * half else None


def _decode_unmarked(data: bytes, declared: str | None) -> str:
    if declared is not None:
        try:
            return data.decode(declared)
        except (LookupError, UnicodeDecodeError):
            pass
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    if best is None:
        raise DocumentRejected(
            RejectionCode.BINARY,
            "The file is neither UTF-8 nor any other text encoding that could be recognised. "
            "Save it as UTF-8, or upload it under the suffix of its real format.",
        )
    return data.decode(best.encoding, errors="replace")


def _checked(text: str) -> str:
    """The text, unless zero characters give away that the bytes are not text at all."""
    zeros = text.count("\x00")
    if zeros > max(2, len(text) // 10_000):
        raise DocumentRejected(
            RejectionCode.BINARY,
            f"The file holds binary data ({zeros} zero bytes), not text. Upload it under its real suffix.",
        )
    return text
