"""RTF, EPUB, reStructuredText and Org: converted to HTML by pandoc, then read as HTML.

Pandoc runs with `--sandbox`, which keeps it from following includes: without it a document could name a file of this
machine and have it read into the index.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Parsed
from ingestion.parsing.formats import NAMES, Format
from ingestion.parsing.html import parse_html

_READERS: dict[Format, str] = {
    Format.RTF: "rtf",
    Format.EPUB: "epub",
    Format.RST: "rst",
    Format.ORG: "org",
}
_OUT_OF_MEMORY = 251
"""Exit status of Haskell's runtime when the heap is exhausted."""
_HEAP = "-M1500m"
_TITLE_BLOCK_CHARS = 20_000
"""Within which the title stands that pandoc puts before the text."""
_SUBTITLE = re.compile(r'<p class="subtitle">([^\n]*?)</p>')


def parse_with_pandoc(data: bytes, found: Format, timeout_s: float) -> Parsed:
    """Blocks of a document in one of pandoc's formats; the title is the document's own, if it has one.

    Raises:
        DocumentRejected: CORRUPT, OUT_OF_MEMORY or TIMEOUT.
    """
    import pypandoc  # type: ignore[import-untyped]

    command = [
        pypandoc.get_pandoc_path(),
        *("+RTS", _HEAP, "-RTS"),
        *(
            "--sandbox",
            "--standalone",
            "--wrap=preserve",
            "--preserve-tabs",
            "--no-highlight",
            "--email-obfuscation=none",
        ),
        *("--from", _READERS[found], "--to", "html5", "--metadata", "pagetitle= "),
    ]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout_s, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise DocumentRejected(
            RejectionCode.TIMEOUT, f"Reading the {NAMES[found]} file took longer than {timeout_s:g} s. Split it."
        ) from error
    if done.returncode == _OUT_OF_MEMORY:
        raise DocumentRejected(
            RejectionCode.OUT_OF_MEMORY, f"Reading the {NAMES[found]} file needs too much memory. Split it."
        )
    if done.returncode:
        raise DocumentRejected(
            RejectionCode.CORRUPT, f"The {NAMES[found]} file is damaged. Open it in its program and save it anew."
        )
    return _read(done.stdout.decode("utf-8", "replace"), found)


def _read(page: str, found: Format) -> Parsed:
    """The page's blocks. What pandoc took out of the text as its title stands above all sections again."""
    shift = int('<h1 class="title">' in page[:_TITLE_BLOCK_CHARS])
    if shift and found is Format.RST:  # a lone second heading passes for a subtitle there
        page, subtitles = _SUBTITLE.subn(r"<h2>\1</h2>", page, count=1)
        shift += subtitles
    parsed = parse_html(page)
    if not shift:
        return parsed
    elements = list(parsed.elements)
    headings = [place for place, element in enumerate(elements) if element.kind is ElementKind.HEADING]
    for place in headings[shift:]:
        elements[place] = replace(elements[place], level=min(6, elements[place].level + shift))
    return replace(parsed, elements=tuple(elements))
