"""The git program, run so that it asks nobody anything, runs nothing that a repository brings, and comes to an end.

What is asked of it is left to `git_mirror` and `git`. It takes credentials, keys and proxies from its own
configuration and the environment, as always; `GIT_SSH_COMMAND` and `GIT_ASKPASS` work too.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import which
from tempfile import TemporaryFile
from typing import IO

from ingestion.errors import SourceUnavailable

_FROM_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PREFIX")
_CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.sshCommand": "ssh -o BatchMode=yes -o ConnectTimeout=30",
    "credential.interactive": "false",
    # A redirect could lead to a host that the source may not reach.
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "fetch.recurseSubmodules": "no",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
}
_ANY_PROTOCOL = "file:http:https:ssh"
_NO_PROTOCOL = ""
_FAREWELL_S = 10.0
_COMPLAINT_BYTES = 8192
_COMPLAINT_CHARS = 300
_SAYS_WHY = re.compile(r"^(fatal|error|remote|ssh|ERROR|Permission denied|Host key)\b")


class GitFailed(SourceUnavailable):
    """A command on the local mirror failed, which it does only if the mirror is damaged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. `complaint` is one short line without credentials, empty if it complained of nothing."""

    status: int
    output: bytes
    complaint: str


class GitProgram:
    """Runs git. `timeout_s` bounds each command, but not the time that the output of one takes to be read."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def ask(self, arguments: Sequence[str], *, given: bytes = b"", network: bool = False) -> Answer:
        """The answer of a command, good or bad. Without `network` it can't reach any other repository.

        Raises: SourceUnavailable if git is not installed, or took longer than the time limit.
        """
        with TemporaryFile() as complaints:
            process = self._start(arguments, subprocess.PIPE, complaints, network=network)
            try:
                output, _ = process.communicate(given, self._timeout_s)
            except subprocess.TimeoutExpired as error:
                verb = next(argument for argument in arguments if not argument.startswith("-"))
                raise SourceUnavailable(
                    f"git {verb} took longer than {self._timeout_s:g} s; PLUMBLINE_SOURCES__GIT_TIMEOUT_S allows more"
                ) from error
            finally:
                _end(process)
            return Answer(process.returncode, output, _complaint(complaints))

    @contextmanager
    def reading(self, arguments: Sequence[str], *, given: bytes = b"", to_the_end: bool = True) -> Iterator[IO[bytes]]:
        """The output of a local command while it runs, as slowly as it is read.

        Raises: GitFailed after the last byte if the command failed, unless it need not come `to_the_end`.
        """
        with TemporaryFile() as question, TemporaryFile() as complaints:
            question.write(given)
            question.seek(0)
            process = self._start(arguments, question, complaints, network=False)
            assert process.stdout is not None
            try:
                yield process.stdout
                # A process that closes its output and does not end is as good as failed.
                if to_the_end and (process.stdout.read(1) or _status(process) != 0):
                    raise GitFailed(_complaint(complaints) or "git ended early")
            finally:
                _end(process)

    def _start(
        self, arguments: Sequence[str], given: int | IO[bytes], complaints: IO[bytes], *, network: bool
    ) -> subprocess.Popen[bytes]:
        if which("git") is None:
            raise SourceUnavailable("the program git is not installed here, or not on the PATH: sources need it")
        # `env`, because what this process inherited is to stay, and only settings.py reads it.
        command = ["env"]
        for name in _FROM_A_HOOK:
            command += ["-u", name]
        command += ["LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=never", "GIT_NO_LAZY_FETCH=1"]
        command += [f"GIT_ALLOW_PROTOCOL={_ANY_PROTOCOL if network else _NO_PROTOCOL}", "git", "--literal-pathspecs"]
        for name, value in _CONFIGURATION.items():
            command += ["-c", f"{name}={value}"]
        return subprocess.Popen(  # noqa: S603 (a list, and no shell)
            [*command, *arguments],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )


def _status(process: subprocess.Popen[bytes]) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_FAREWELL_S)
    return None


def without_credentials(text: str) -> str:
    """The text, its addresses without user names and passwords."""
    return re.sub(r"//[^/\s@]*@", "//", text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the process is left, nor of what it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _complaint(written: IO[bytes]) -> str:
    size = written.seek(0, os.SEEK_END)
    written.seek(max(0, size - _COMPLAINT_BYTES))
    lines = [line.strip() for line in written.read().decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if _SAYS_WHY.match(line)] or lines[-1:]
    text = without_credentials("; ".join(dict.fromkeys(telling)))
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    if re.search(r"returned error: 30\d|update url base from redirection", text):
        text = f"the server redirects: give the address it leads to, often with .git at its end ({text})"
    return text if len(text) <= _COMPLAINT_CHARS else f"{text[:_COMPLAINT_CHARS]}…"
