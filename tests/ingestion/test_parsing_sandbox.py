"""The parser process: what it survives, what it costs one document, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing import DocumentParser
from ingestion.parsing.child import _refuse_network
from ingestion.parsing.sandbox import _environment
from ingestion.settings import ParsingSettings
from tests.ingestion import hostile
from tests.ingestion.documents import document_source

_FINE = document_source("fine.md", "# Fine\n\ntext")


def children() -> list[psutil.Process]:
    """The parser processes of this test run."""
    found = []
    for child in psutil.Process().children():
        try:
            if "ingestion.parsing.child" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(children())
    yield
    assert set(children()) <= before


def rejection(parser: DocumentParser, name: str, data: bytes) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        parser.parse(document_source(name, data))
    return caught.value


def test_a_hang_costs_one_document() -> None:
    with DocumentParser(ParsingSettings(timeout_s=1.5)) as parser:
        assert parser.parse(_FINE).title == "Fine"
        (first,) = children()
        started = time.monotonic()
        assert rejection(parser, "deep.html", hostile.deep_html(200_000)).reason is RejectionCode.TIMEOUT
        assert time.monotonic() - started < 10
        assert not first.is_running()
        assert parser.parse(_FINE).title == "Fine"


def test_memory_exhaustion_costs_one_document() -> None:
    with DocumentParser(ParsingSettings(memory_mb=512)) as parser:
        assert rejection(parser, "swelling.json", hostile.swelling_json()).reason is RejectionCode.OUT_OF_MEMORY
        assert parser.parse(_FINE).title == "Fine"


def test_a_library_that_aborts_costs_one_document() -> None:
    with DocumentParser(ParsingSettings(memory_mb=512)) as parser:
        found = rejection(parser, "exploding.pdf", hostile.exploding_pdf())
        assert found.reason in (RejectionCode.OUT_OF_MEMORY, RejectionCode.PARSER_CRASHED, RejectionCode.TIMEOUT)
        assert parser.parse(_FINE).title == "Fine"


def test_a_crash_costs_one_document() -> None:
    # So much memory is allowed that the crash can't be taken for a want of it, however far the child has come.
    with DocumentParser(ParsingSettings(memory_mb=16_384)) as parser:
        parser.parse(_FINE)
        (child,) = children()
        with ThreadPoolExecutor(1) as pool:
            doomed = pool.submit(rejection, parser, "deep.html", hostile.deep_html(200_000))
            used = child.cpu_times().user
            while child.cpu_times().user < used + 0.1:  # it is at work on the document
                time.sleep(0.01)
            child.send_signal(signal.SIGSEGV)
            assert doomed.result(30).reason is RejectionCode.PARSER_CRASHED
        assert parser.parse(_FINE).title == "Fine"


def test_a_child_that_died_idle_costs_nothing() -> None:
    with DocumentParser(ParsingSettings()) as parser:
        parser.parse(_FINE)
        (child,) = children()
        child.kill()
        while child.status() != psutil.STATUS_ZOMBIE:  # waiting for it would take its exit status from the parser
            time.sleep(0.01)
        assert parser.parse(_FINE).title == "Fine"


def test_threads_share_the_processes() -> None:
    with DocumentParser(ParsingSettings(processes=2)) as parser, ThreadPoolExecutor(6) as pool:
        sources = [document_source(f"{number}.md", f"# Title {number}\n\ntext") for number in range(120)]
        assert [document.title for document in pool.map(parser.parse, sources)] == [
            f"Title {number}" for number in range(120)
        ]
        assert len(children()) <= 2


def test_close_ends_the_processes_and_may_be_repeated() -> None:
    parser = DocumentParser(ParsingSettings())
    parser.parse(_FINE)
    assert len(children()) == 1
    parser.close()
    parser.close()
    assert children() == []


def test_the_child_leaves_when_its_parent_is_killed() -> None:
    program = (
        "import time\n"
        "from ingestion.parsing import DocumentParser\n"
        "from ingestion.settings import ParsingSettings\n"
        "from tests.ingestion.documents import document_source\n"
        "parser = DocumentParser(ParsingSettings())\n"
        "parser.parse(document_source('a.md', '# a'))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "ready\n"
            (child,) = psutil.Process(parent.pid).children()
        finally:
            parent.kill()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone == [child]


def test_the_child_sees_no_secret_and_does_not_report_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_LLM__API_KEY", "secret")
    with DocumentParser(ParsingSettings()) as parser:
        parser.parse(_FINE)
        (child,) = children()
        environment = child.environ()
    assert "secret" not in str(environment)
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["SCARF_NO_ANALYTICS"] == "true"


def test_the_child_can_open_no_connection() -> None:
    program = (
        "import socket, sys\n"
        "from ingestion.parsing.child import _refuse_network\n"
        "sys.addaudithook(_refuse_network)\n"
        "server = ('127.0.0.1', 9)\n"
        "for attempt in (lambda: socket.create_connection(server), lambda: socket.getaddrinfo('localhost', 80)):\n"
        "    try:\n"
        "        attempt()\n"
        "    except PermissionError:\n"
        "        print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "refused\nrefused\n"
    with pytest.raises(PermissionError):
        _refuse_network("socket.connect", ())


def test_office_documents_need_no_network_and_children_no_torch() -> None:
    """Word is read by a child whose every connection is refused, so nothing was fetched for it."""
    with DocumentParser(ParsingSettings()) as parser:
        text = "The gateway is restarted by the person on duty. It takes about fourteen minutes."
        assert parser.parse(document_source("a.docx", hostile.docx([text]))).text == text
        (child,) = children()
        mapped = {Path(region.path).name for region in child.memory_maps()}
        assert not child.net_connections(kind="inet")
    assert not any(name.startswith("libtorch") for name in mapped)


def test_reading_is_fast_enough_for_bulk() -> None:
    """A floor far below what is measured on an idle core, so that a process per document could never pass."""
    source = document_source("a.md", "# Title\n\n" + "A paragraph of a runbook.\n\n" * 40)
    with DocumentParser(ParsingSettings()) as parser:
        parser.parse(source)
        started = time.monotonic()
        for _ in range(100):
            parser.parse(source)
        assert time.monotonic() - started < 10


def test_parsing_works_beside_threads_that_hold_locks() -> None:
    """A fork would copy a lock that another thread holds and never release it."""
    lock, release = threading.Lock(), threading.Event()

    def hold() -> None:
        with lock:
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        with DocumentParser(ParsingSettings()) as parser:
            assert parser.parse(_FINE).title == "Fine"
    finally:
        release.set()
        holder.join()


def test_the_environment_is_complete_for_a_bare_interpreter() -> None:
    environment = _environment("/scratch")
    assert all(environment.values())
    assert os.pathsep.join(entry for entry in sys.path if entry) in environment["PYTHONPATH"] or sys.path[0] == ""
