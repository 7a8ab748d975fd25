"""Tells at once when something changed in a folder. What changed is left to the scan, which looks at everything.

Changes made by another machine on a network share are not seen: a source there needs an interval.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

import structlog
from watchfiles import watch

K = TypeVar("K", bound=Hashable)

_STEP_MS = 50
_MOST_QUIET_TIMES = 10
"""A folder that never rests is reported after so many times the quiet time."""
_MISSING_S = 5.0
"""Between two looks for a root that is not there."""
_UNWATCHABLE_S = 60.0
"""Between two reports of a folder that the system can't watch: it is scanned on the chance."""


class FolderWatcher(Generic[K]):
    """Calls `changed(key)` when a watched folder was quiet for `quiet_s` after a change; from a thread of each folder.

    It is also called once when watching has begun, since nothing tells what happened before, and when a root vanishes
    or comes back. Hidden files are not looked at. `changed` must be quick and must not raise.
    """

    def __init__(self, changed: Callable[[K], None], *, quiet_s: float, missing_s: float = _MISSING_S) -> None:
        self._changed = changed
        self._quiet_s = quiet_s
        self._missing_s = missing_s
        self._watched: dict[K, _Watch[K]] = {}

    def __enter__(self) -> FolderWatcher[K]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keep(self, roots: Mapping[K, Path]) -> None:
        """Watches these folders and no others. What is watched already goes on undisturbed. Call from one thread."""
        for key in [key for key, watched in self._watched.items() if roots.get(key) != watched.root]:
            self._watched.pop(key).stop()
        for key in roots.keys() - self._watched.keys():
            watched = _Watch(key, roots[key], self._changed, quiet_s=self._quiet_s, missing_s=self._missing_s)
            self._watched[key] = watched
            watched.start()

    def close(self) -> None:
        """Ends all threads; no call follows."""
        for watched in self._watched.values():
            watched.ask_to_stop()
        for watched in self._watched.values():
            watched.stop()
        self._watched.clear()


class _Watch(Generic[K]):
    """One folder and its thread."""

    def __init__(self, key: K, root: Path, changed: Callable[[K], None], *, quiet_s: float, missing_s: float) -> None:
        self.root = root
        self._key = key
        self._changed = changed
        self._quiet_s = quiet_s
        self._missing_s = missing_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {root}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopped.set()

    def stop(self) -> None:
        """Returns when the thread has ended. It may be called from that thread itself."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        was_there = True
        while not self._stopped.is_set():
            identity = _identity(self.root)
            if identity is None:
                if was_there:
                    self._tell()
                was_there = False
                self._stopped.wait(self._missing_s)
                continue
            was_there = True
            try:
                self._watch(identity)
            except FileNotFoundError:
                self._stopped.wait(self._missing_s)
            except (OSError, RuntimeError) as error:
                # For example more folders than fs.inotify.max_user_watches allows.
                structlog.get_logger().warning("folder_not_watched", folder=str(self.root), reason=str(error))
                self._tell()
                self._stopped.wait(_UNWATCHABLE_S)

    def _watch(self, identity: tuple[int, int]) -> None:
        """Returns when it is to stop, or the root is no longer the same folder."""
        pause_ms = max(_STEP_MS, round(self._quiet_s * 1000))
        last = monotonic()
        first: float | None = last
        for changes in watch(
            self.root,
            watch_filter=None,
            debounce=pause_ms,
            step=_STEP_MS,
            stop_event=self._stopped,
            rust_timeout=pause_ms,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            now = monotonic()
            if any(self._is_visible(path) for _, path in changes):
                last = now
                first = now if first is None else first
            elif first is not None and now - last >= self._quiet_s:
                first = None
                self._tell()
            if first is not None and now - first > _MOST_QUIET_TIMES * self._quiet_s:
                first = None
                self._tell()
            if _identity(self.root) != identity:
                return

    def _tell(self) -> None:
        if not self._stopped.is_set():
            self._changed(self._key)

    def _is_visible(self, path: str) -> bool:
        try:
            parts = Path(path).relative_to(self.root).parts
        except ValueError:
            return True
        return not any(part.startswith(".") for part in parts)


def _identity(root: Path) -> tuple[int, int] | None:
    """Which folder lies at the path; None if none does."""
    try:
        status = root.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if root.is_dir() else None
