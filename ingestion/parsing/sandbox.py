"""One parser process: started, asked, watched, killed and replaced. What it does is in `child`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from ingestion.corpus.records import DocumentSource, ParsedDocument
from ingestion.errors import BackendUnavailable, DocumentRejected, RejectionCode
from ingestion.parsing.wire import READY, SCRATCH_PREFIX, TAKEN, Reply, decode_reply, encode_request
from ingestion.settings import ParsingSettings

_STARTUP_S = 60.0
_FAREWELL_S = 2.0
_MIB = 1 << 20
_NEARLY_FULL = 0.6
"""Share of the memory limit from which a crash is put down to a failed allocation."""
_REPLY_BYTES_PER_CHAR = 40
"""More than text and elements need in JSON; a longer reply does not come from an intact child."""
_STALL_S = 60
"""Longest wait within one message: the child stopped in the middle of it."""


class _Child(subprocess.Popen[bytes]):
    """A process whose peak of memory is known once it has ended."""

    peak_bytes = 0

    def reap(self) -> int:
        """Exit status, after waiting for the end; 0 if another part of this process has waited for it before."""
        if self.returncode is None:
            try:
                _, status, usage = os.wait4(self.pid, 0)
            except ChildProcessError:
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status)
                self.peak_bytes = usage.ru_maxrss * 1024
        return self.returncode


class ParserProcess:
    """A child process that reads documents one at a time. Not thread-safe.

    It is a fresh interpreter rather than a fork, which would copy the locks of the service's other threads, and it
    is given no environment but what it needs: no key, no password.
    """

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._process: _Child | None = None
        self._connection: Connection | None = None
        self._scratch: str | None = None

    def parse(self, source: DocumentSource) -> ParsedDocument:
        """The document as the child read it. A child that dies over it is replaced at the next call.

        Raises:
            DocumentRejected: by the child, or TIMEOUT, OUT_OF_MEMORY or PARSER_CRASHED for what became of it.
            BackendUnavailable: no child could be started.
        """
        connection = self._send(source)
        try:
            reply = self._with_attachments(connection, self._receive(connection))
        except BlockingIOError as error:
            self.kill()
            raise self._timed_out(self._settings.timeout_s) from error
        except (EOFError, OSError) as error:
            raise self._died() from error
        except (ValueError, TypeError, KeyError) as error:
            self.kill()
            raise _crashed("gave an answer that makes no sense") from error
        if reply.last:
            self.close()
        if isinstance(reply.outcome, DocumentRejected):
            raise reply.outcome
        return reply.outcome

    def close(self) -> None:
        """Ends the child: it leaves when its pipe closes, and is killed if it does not."""
        process = self._let_go()
        if process is not None:
            try:
                process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                _kill_group(process)
        self._clean_up()

    def kill(self) -> int | None:
        """Kills the child with all that it started; its exit status."""
        process = self._let_go()
        status = _kill_group(process) if process is not None else None
        self._clean_up()
        return status

    def _let_go(self) -> _Child | None:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        return process

    def _clean_up(self) -> None:
        """Removes what the child, which has ended, left on disk."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

    def _receive(self, connection: Connection) -> Reply:
        """The child's verdict, for which it has its time, and more once if it has to recognise text on pages."""
        allowed_s = self._settings.timeout_s
        deadline = time.monotonic() + allowed_s
        extended = False
        while True:
            if not connection.poll(max(0.0, deadline - time.monotonic())):
                self.kill()
                raise self._timed_out(allowed_s)
            frame = connection.recv_bytes(self._settings.max_text_chars * _REPLY_BYTES_PER_CHAR + 1_000_000)
            said = decode_reply(frame)
            if isinstance(said, Reply):
                return said
            if extended:
                raise ValueError("the child asks for time again")
            extended = True
            allowed_s = self._settings.timeout_s + self._settings.ocr_allowance_s(said.pages)
            deadline = time.monotonic() + allowed_s

    def _with_attachments(self, connection: Connection, reply: Reply) -> Reply:
        """The reply complete. Raises: ValueError if it announces more than may come."""
        if not reply.announced:
            return reply
        sizes = [announced.size for announced in reply.announced]
        if len(sizes) > self._settings.max_attachments or sum(sizes) > self._settings.max_bytes or min(sizes) < 0:
            raise ValueError("more attachments than allowed")
        return reply.with_attachments([connection.recv_bytes(size) for size in sizes])

    def _send(self, source: DocumentSource) -> Connection:
        """The connection, after the document went down it; once more with a new child if the old one was gone."""
        request = encode_request(source)
        for _ in range(2):
            connection = self._connection or self._start()
            try:
                connection.send_bytes(request)
                connection.send_bytes(source.data)
                if connection.poll(_STARTUP_S) and connection.recv_bytes(len(TAKEN)) == TAKEN:
                    return connection
            except (EOFError, OSError):
                pass
            self.kill()
        raise _crashed("ended while it was given the document")

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        _limit_waits(ours)
        command = [sys.executable, "-P", "-m", "ingestion.parsing.child", str(theirs.fileno())]
        try:
            self._scratch = tempfile.mkdtemp(prefix=SCRATCH_PREFIX)
            self._process = _Child(
                [*command, self._settings.model_dump_json()],
                env=_environment(self._scratch),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            self._clean_up()
            raise BackendUnavailable(f"The parser process does not start ({error}). Check memory and disk.") from error
        finally:
            theirs.close()
        self._connection = ours
        with contextlib.suppress(EOFError, OSError):
            if ours.poll(_STARTUP_S) and ours.recv_bytes(len(READY)) == READY:
                return ours
        status = self.kill()
        raise BackendUnavailable(f"The parser process does not start (exit status {status}). Check memory and disk.")

    def _died(self) -> DocumentRejected:
        """What the exit status of a child that ended by itself says."""
        process = self._process
        status = self.kill()
        if status == -signal.SIGXCPU:
            return self._timed_out(self._settings.timeout_s)
        if status == -signal.SIGKILL or (process is not None and self._was_full(process)):
            return DocumentRejected(
                RejectionCode.OUT_OF_MEMORY,
                "Reading the document ended for want of memory. Split it, or raise PLUMBLINE_PARSING__MEMORY_MB.",
            )
        return _crashed(f"ended with status {status}")

    def _was_full(self, process: _Child) -> bool:
        """Whether the child held so much memory that its crash was most likely a failed allocation."""
        return process.peak_bytes > _NEARLY_FULL * self._settings.memory_mb * _MIB

    def _timed_out(self, allowed_s: float) -> DocumentRejected:
        name = "TIMEOUT_S" if allowed_s == self._settings.timeout_s else "OCR_PAGE_TIMEOUT_S"
        return DocumentRejected(
            RejectionCode.TIMEOUT,
            f"Reading the document took longer than {allowed_s:g} s. Split it, or raise PLUMBLINE_PARSING__{name}.",
        )


def _crashed(what: str) -> DocumentRejected:
    return DocumentRejected(
        RejectionCode.PARSER_CRASHED, f"The parser {what}. The file is probably damaged: save it anew and upload that."
    )


def _limit_waits(connection: Connection) -> None:
    """Lets a read or write that makes no progress fail: a child that stopped half-way must not hold this process."""
    wait = struct.pack("@ll", _STALL_S, 0)
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)


def _environment(scratch: str) -> dict[str, str]:
    """All that the child may know of this process. `DO_NOT_TRACK` stops unstructured from reporting home."""
    folders = [entry or str(Path.cwd()) for entry in sys.path]
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "HOME": scratch,
        "TMPDIR": scratch,
        "DO_NOT_TRACK": "1",
        "SCARF_NO_ANALYTICS": "true",
        "UNSTRUCTURED_DISABLE_NOTICE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _kill_group(process: _Child) -> int:
    """Exit status. A process that has already ended keeps the status it ended with."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.reap()
