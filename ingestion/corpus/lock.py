"""Embedded mode is one process: a lock on the data folder says which."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion.errors import ConfigurationError, CorpusInUse

LOCK_FILE = "lock"


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. The lock goes with the process, however it ends.

    Raises: CorpusInUse, naming the process that holds it; ConfigurationError if the folder can't be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = (data_dir / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the data folder {data_dir}: {error.strerror}; set PLUMBLINE_DATA_DIR"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise CorpusInUse(
                f"the data folder {data_dir} is in use by {holder}; stop it, or reach it over HTTP"
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} ({' '.join([Path(sys.argv[0]).name, *sys.argv[1:2]])})")
        handle.flush()
        yield
