"""What a labelling run tells people while it runs: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from confroute.decision import Route

_LINE_EVERY_S = 30.0


class ConsoleProgress:
    """Shows answers received, rate, spend and time left on standard error.

    Args:
        console: Where to; standard error by default.
        line_every: Seconds between two lines where there is no terminal.
    """

    def __init__(self, console: Console | None = None, *, line_every: float = _LINE_EVERY_S) -> None:
        self._console = console or Console(stderr=True)
        self._line_every = line_every
        self._lock = threading.Lock()
        self._received = 0
        self._usd: float | None = 0.0
        self._total = self._done_before = 0
        self._began = self._last_line = 0.0
        self._bar = Progress(
            TextColumn("drawing answers"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("draw", told="", start=False)

    def start(self, *, total: int, done: int) -> None:
        """`total` answers are wanted, `done` of them are there."""
        self._total, self._done_before = total, done
        self._began = self._last_line = time.monotonic()
        self._bar.start()
        self._bar.start_task(self._task)
        self._bar.update(self._task, total=total, completed=done)
        if not self._console.is_terminal:
            self._line()

    def advance(self, role: Route, usd: float | None) -> None:
        """One answer has arrived."""
        with self._lock:
            self._received += 1
            self._usd = None if usd is None or self._usd is None else self._usd + usd

    def refresh(self) -> None:
        """Show the state; lines only now and then."""
        self._bar.update(
            self._task, completed=self._done_before + self._received, told=self._rate_and_spend()
        )
        if not self._console.is_terminal and time.monotonic() - self._last_line >= self._line_every:
            self._line()

    def stop(self) -> None:
        """Show the state a last time."""
        self.refresh()
        self._bar.stop()
        if not self._console.is_terminal:
            self._line()

    def _rate(self) -> float:
        return self._received / max(time.monotonic() - self._began, 1e-9)

    def _rate_and_spend(self) -> str:
        spend = "spend unknown" if self._usd is None else f"${self._usd:.4f}"
        return f"{self._rate():.1f}/s, {spend}"

    def _line(self) -> None:
        self._last_line = time.monotonic()
        done = self._done_before + self._received
        left = self._total - done
        time_left = f", about {left / self._rate() / 60:.0f} min left" if self._received and left else ""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._console.print(
            f"{stamp} {done} of {self._total} answers, {self._rate_and_spend()}{time_left}",
            highlight=False,
            soft_wrap=True,
        )
