"""What becomes of odd, broken and hostile files: `python -m benchmarks.documents [FOLDER|ARCHIVE …] [--bombs]`.

Every file is read as an upload is, in the parser process and within its limits. Printed are the outcomes for each
format, the slowest files, the peak of memory, and what was left behind. Without a path: the documents of the evaluation
data. `--bombs` adds the files that `tests/ingestion/hostile.py` makes.
"""

from __future__ import annotations

import argparse
import os
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.corpora import eval_data
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.errors import DocumentRejected
from ingestion.parsing import DocumentParser
from ingestion.settings import ParsingSettings
from tests.ingestion.hostile import bombs

_SLOWEST = 8
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result`: `read` or the code of the rejection. `peak_bytes`: of the process that read it, up to then."""

    name: str
    kind: str
    result: str
    seconds: float
    peak_bytes: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("paths", nargs="*", type=Path)
    arguments.add_argument("--bombs", action="store_true")
    arguments.add_argument("--timeout-s", type=float, default=ParsingSettings().timeout_s)
    chosen = arguments.parse_args()
    files = _files(chosen.paths or sorted((eval_data() / "documents").glob("*.tar.gz")))
    settings = ParsingSettings(timeout_s=chosen.timeout_s)
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch  # so that what is left behind is ours
        _report(files, settings, bombs_too=chosen.bombs)
        tempfile.tempdir = None


def _report(files: Iterator[tuple[str, bytes]], settings: ParsingSettings, *, bombs_too: bool) -> None:
    before = _belongings()
    outcomes = [*_read(files, settings)]
    _print("Files", outcomes)
    if bombs_too:
        made = [*_read(((name, build()) for name, build in bombs().items()), settings)]
        _print("Bombs", made)
        print("\n| file | outcome | seconds |\n| --- | --- | --- |")
        for outcome in made:
            print(f"| `{outcome.name}` | {outcome.result} | {outcome.seconds:.1f} |")
    left = {what: after - before[what] for what, after in _belongings().items()}
    print("\nleft behind: " + ", ".join(f"{count} {what}" for what, count in left.items()))


def _files(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in folders and archives."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    yield file.name, file.read_bytes()
        elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    if content is not None:
                        yield Path(member.name).name, content.read()
        else:
            yield path.name, path.read_bytes()


def _read(files: Iterator[tuple[str, bytes]], settings: ParsingSettings) -> Iterator[Outcome]:
    with DocumentParser(settings) as parser:
        for name, data in files:
            started = time.perf_counter()
            try:
                parser.parse(DocumentSource(DocumentId(name), name, name, data))
                result = "read"
            except DocumentRejected as rejection:
                result = rejection.reason.value
            yield Outcome(name, Path(name).suffix.lower(), result, time.perf_counter() - started, _peak_bytes())


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _peak_bytes() -> int:
    """Highest memory that the parser process has held; 0 if this file was its last."""
    peaks = [0]
    for child in _children():
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except OSError:
            continue
        peaks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return max(peaks)


def _belongings() -> Counter[str]:
    return Counter(
        {
            "processes": len(_children()),
            "open files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - only their number counts
            "temporary files": len(list(Path(tempfile.gettempdir()).iterdir())),
        }
    )


def _print(title: str, outcomes: list[Outcome]) -> None:
    results = sorted({outcome.result for outcome in outcomes}, key=lambda result: (result != "read", result))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        counts[outcome.kind][outcome.result] += 1
    print(f"\n{title}: {len(outcomes)}\n\n| format | {' | '.join(results)} |\n|{' --- |' * (len(results) + 1)}")
    for kind, found in sorted(counts.items()):
        print(f"| {kind} | {' | '.join(str(found[result] or '') for result in results)} |")
    total = Counter(outcome.result for outcome in outcomes)
    print(f"| all | {' | '.join(str(total[result]) for result in results)} |")
    print("\nslowest: " + ", ".join(f"{o.name} {o.seconds:.1f} s" for o in _slowest(outcomes)))
    print(f"peak memory of a parser process: {max(o.peak_bytes for o in outcomes) // _MIB} MB")


def _slowest(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: outcome.seconds, reverse=True)[:_SLOWEST]


if __name__ == "__main__":
    main()
