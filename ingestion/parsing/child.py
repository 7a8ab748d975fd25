"""The parser process: reads documents from its pipe, one after the other, until the pipe closes.

Started as `python -m ingestion.parsing.child <descriptor> <settings as JSON>`, in a session of its own, with an
environment that holds no secret. It can open no network connection.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.formats import BINARY_FORMATS, NAMES, Format, proposed_format
from ingestion.parsing.reading import DocumentReader
from ingestion.parsing.wire import (
    READY,
    SCRATCH_PREFIX,
    TAKEN,
    decode_request,
    encode_document,
    encode_more_time,
    encode_rejection,
)
from ingestion.settings import ParsingSettings

_MOST_DOCUMENTS = 5_000
_MIB = 1 << 20
_MOST_FILES = 256
_LEAST_FILE_BYTES = 256 * _MIB
"""The libraries of the parser itself write temporary files of some size."""
_NEARLY_FULL = 0.9
"""Share of the address space whose use says that an error was one of memory, whatever a library calls it."""
_GROWN = 0.5
"""Share of the memory limit from which a process is replaced rather than kept."""
_FORBIDDEN_EVENTS = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto", "socket.sendmsg"}
)


def main(arguments: list[str]) -> None:
    """Serves until the parent closes the pipe, a limit ends the process, or it is due for replacement."""
    connection = Connection(int(arguments[0]))
    settings = ParsingSettings.model_validate_json(arguments[1])

    def take_more_time(pages: int) -> None:
        connection.send_bytes(encode_more_time(pages))
        _allow_cpu(settings.timeout_s + settings.ocr_allowance_s(pages))

    reader = DocumentReader(settings, take_more_time)
    _limit(settings)
    sys.addaudithook(_refuse_network)
    sys.modules["torch"] = None  # type: ignore[assignment] # spaCy would load it, for nothing that is used here
    connection.send_bytes(READY)
    for served in range(1, _MOST_DOCUMENTS + 1):
        try:
            request = connection.recv_bytes()
            data = connection.recv_bytes()
            connection.send_bytes(TAKEN)
        except (EOFError, OSError):  # the parent closed the pipe, or is no more
            return
        last = served == _MOST_DOCUMENTS
        reply, intact = _serve(reader, settings, request, data, last=last)
        for frame in reply:
            connection.send_bytes(frame)
        if last or not intact:
            return


def _limit(settings: ParsingSettings) -> None:
    limits = {
        resource.RLIMIT_AS: settings.memory_mb * _MIB,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: max(settings.max_unpacked_bytes, _LEAST_FILE_BYTES),
        resource.RLIMIT_NOFILE: _MOST_FILES,
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))


def _refuse_network(event: str, _: object) -> None:
    if event in _FORBIDDEN_EVENTS:
        raise PermissionError(f"a parser may not use the network ({event})")


def _serve(
    reader: DocumentReader, settings: ParsingSettings, request: bytes, data: bytes, *, last: bool
) -> tuple[list[bytes], bool]:
    """`(frames of the reply, intact)`; a process that is not intact, by an error or by its growth, ends after it."""
    name, media_type, title = decode_request(request)
    _allow_cpu(settings.timeout_s)
    try:
        document = reader.read(name, data, media_type, title)
        grown = _memory_used() > _GROWN * settings.memory_mb * _MIB
        return list(encode_document(document, last=last or grown)), not grown
    except DocumentRejected as rejection:
        return [encode_rejection(rejection, last=last)], True
    except (MemoryError, RecursionError) as error:
        return [encode_rejection(_out_of_resources(error), last=True)], False
    except Exception as error:  # noqa: BLE001 - the parser child's edge: libraries raise anything on damaged files
        explained = _explain(error, proposed_format(name, media_type), settings)
        intact = explained.reason is not RejectionCode.OUT_OF_MEMORY
        return [encode_rejection(explained, last=last or not intact)], intact


def _allow_cpu(timeout_s: float) -> None:
    """Ends the process if this document takes more processor time than it may take wall time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime + timeout_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _out_of_resources(error: BaseException) -> DocumentRejected:
    if isinstance(error, RecursionError):
        return DocumentRejected(RejectionCode.CORRUPT, "The document is nested too deeply to be read. Simplify it.")
    return DocumentRejected(
        RejectionCode.OUT_OF_MEMORY,
        "Reading the document needs more memory than PLUMBLINE_PARSING__MEMORY_MB allows. Split it, or raise that.",
    )


def _explain(error: Exception, found: Format | None, settings: ParsingSettings) -> DocumentRejected:
    """A rejection for an error nobody foresaw; out of memory wears many names, even that of a syntax error."""
    if _address_space_peak() > _NEARLY_FULL * settings.memory_mb * _MIB:
        return _out_of_resources(MemoryError())
    name = NAMES[found] if found is not None else "unknown"
    what = f"{type(error).__name__}: {error}"[:200]
    if found in BINARY_FORMATS or found in (Format.EML, Format.RTF):
        return DocumentRejected(
            RejectionCode.CORRUPT,
            f"The {name} file is damaged ({what}). Open it in its program, save it anew and upload that.",
        )
    return DocumentRejected(
        RejectionCode.PARSER_CRASHED, f"Reading the {name} file failed ({what}). Please report it with the document."
    )


def _memory_used() -> int:
    """Bytes of memory that the process holds; 0 where the system does not tell."""
    return _status("VmRSS:")


def _address_space_peak() -> int:
    return _status("VmPeak:")


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _leave_nothing() -> None:
    """Removes the folder of this process, which nobody else does where the parent was killed."""
    scratch = Path(tempfile.gettempdir())
    if scratch.name.startswith(SCRATCH_PREFIX):
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    _leave_nothing()
    os._exit(0)  # a farewell of all libraries would take longer than the parent waits
