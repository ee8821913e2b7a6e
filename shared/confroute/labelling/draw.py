"""Phase 1's sampling loop: ask each model for what is missing, note before asking, keep on arrival."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Protocol

from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_attempt, stop_when_event_set

from confroute.decision import Route
from confroute.errors import ModelError
from confroute.labelling.money import Price, SpendCap, SpendCapError
from confroute.labelling.retry import Backoff, is_hopeless, is_transient, was_refused
from confroute.labelling.settings import Question, SamplingSettings, seed_for
from confroute.labelling.store import Draw, Store, StoredSample
from confroute.models import Model

_POLL_S = 0.2
_FAILURES_IN_A_ROW = 5


class Progress(Protocol):
    """Told what a run does."""

    def start(self, *, total: int, done: int) -> None:
        """`total` answers are wanted, `done` of them are there."""
        ...

    def advance(self, role: Route, usd: float | None) -> None:
        """One answer has arrived; called from many threads."""
        ...

    def refresh(self) -> None:
        """Some time has passed; called from the main thread a few times a second."""
        ...

    def stop(self) -> None:
        """The run has ended."""
        ...


@dataclass(slots=True)
class Drawing:
    """How a sampling run ended.

    Attributes:
        received: Answers received by this run.
        failed: Requests given up after their retries, by what they failed with.
        capped: Whether the spend cap ended it.
        interrupted: Whether it was asked to stop.
    """

    received: int = 0
    failed: list[str] = field(default_factory=list)
    capped: bool = False
    interrupted: bool = False


class Drawer:
    """Draws the missing answers of a run.

    Args:
        store: Where answers go.
        models: The two models, by role; one with an attribute `max_concurrency` gets no more requests at a
            time than that.
        settings: How to sample.
        prices: Price of each model, by role.
        cap: The spend cap.
        concurrency: Most requests in flight per model.
        attempts: Most tries per answer.
        backoff: Wait between tries; told the state of the retry, gives seconds.
        progress: Told of each answer.
    """

    def __init__(
        self,
        store: Store,
        models: Mapping[Route, Model],
        settings: SamplingSettings,
        *,
        prices: Mapping[Route, Price],
        cap: SpendCap,
        concurrency: int = 8,
        attempts: int = 6,
        backoff: Callable[[Any], float] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.store = store
        self.models = models
        self.settings = settings
        self.prices = prices
        self.cap = cap
        self.concurrency = concurrency
        self.progress = progress
        self.stopping = threading.Event()
        self._outcome = Drawing()
        self._lock = threading.Lock()
        self._failures_in_a_row = dict.fromkeys(models, 0)
        self._retrying = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, _RequestFailedError) and is_transient(e)),
            stop=stop_after_attempt(attempts) | stop_when_event_set(self.stopping),
            wait=backoff or Backoff(),
            sleep=sleep_using_event(self.stopping),
            reraise=True,
        )

    def run(self, questions: Mapping[int, Question]) -> Drawing:
        """Draw what is missing for these questions, edge and cloud at the same time.

        Args:
            questions: The questions by position in the store, in the order to ask them.

        Returns:
            How it ended. An interrupt (Ctrl-C) or SIGTERM lets requests in flight arrive, then ends the run;
            a second Ctrl-C raises KeyboardInterrupt at once, a second SIGTERM changes nothing.

        Raises:
            ModelError: If a model refuses every request.
            StoreError: If the store cannot be written.
        """
        have = self.store.received()
        missing = {role: self._missing(role, questions, have) for role in self.models}
        if self.progress is not None:
            total = len(self.models) * len(questions) * len(self.settings.draws())
            self.progress.start(total=total, done=total - sum(map(len, missing.values())))
        threads = {role: self._n_threads(role, len(missing[role])) for role in self.models}
        pool = ThreadPoolExecutor(max(1, sum(threads.values())), thread_name_prefix="confroute-draw")
        try:
            with self._orderly_interrupt():
                futures = [
                    pool.submit(self._work, source, questions)
                    for role, draws in missing.items()
                    for source in [_Source(draws)]
                    for _ in range(threads[role])
                ]
                self._wait(futures)
        finally:
            self.stopping.set()
            pool.shutdown(wait=False)
            if self.progress is not None:
                self.progress.stop()
        for future in futures:
            future.result()
        return self._outcome

    def _missing(self, role: Route, questions: Mapping[int, Question], have: set[Draw]) -> list[Draw]:
        draws = (Draw(position, role, kind, i) for position in questions for kind, i in self.settings.draws())
        return [draw for draw in draws if draw not in have]

    def _n_threads(self, role: Route, n_missing: int) -> int:
        most = getattr(self.models[role], "max_concurrency", self.concurrency)
        return min(self.concurrency, most, n_missing)

    @contextmanager
    def _orderly_interrupt(self) -> Iterator[None]:
        """Let Ctrl-C or SIGTERM stop the run in order, and a second Ctrl-C raise KeyboardInterrupt."""
        seen = set()

        def interrupt(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and number in seen:
                raise KeyboardInterrupt
            seen.add(number)
            self._outcome.interrupted = True
            self.stopping.set()

        if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
            yield
            return
        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self, futures: Sequence[Future[None]]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                self.stopping.set()
            if self.progress is not None:
                self.progress.refresh()

    def _work(self, source: _Source, questions: Mapping[int, Question]) -> None:
        for draw in source:
            if self.stopping.is_set():
                return
            try:
                self._retrying(self._send, draw, questions[draw.position])
            except SpendCapError:
                self._outcome.capped = True
                return
            except _RequestFailedError as failure:
                if self.stopping.is_set():
                    return
                self._give_up(draw, questions[draw.position], failure.error)

    def _send(self, draw: Draw, question: Question) -> None:
        role, settings = draw.role, self.settings
        model, price = self.models[role], self.prices[role]
        request = settings.request(question.question)
        greedy = draw.kind == "greedy"
        seed = seed_for(model.name, question.id, 0 if greedy else draw.idx + 1)
        reserved = price.most(request, settings.max_tokens)
        if not self.cap.reserve(reserved):
            raise SpendCapError(self.cap.most)
        if self.stopping.is_set():  # told to stop while it waited for money
            self.cap.settle(reserved, 0.0)
            raise _RequestFailedError(InterruptedError("stopped"))
        spent: float | None = 0.0
        try:
            intent = self.store.note_intent(draw, reserved_usd=reserved)
            spent = None
            try:
                (sample,) = model.sample(
                    request,
                    1,
                    temperature=0.0 if greedy else settings.temperature,
                    max_tokens=settings.max_tokens,
                    logprobs=True,
                    top_p=None if greedy else settings.top_p,
                    top_k=None if greedy else settings.top_k,
                    seed=seed,
                )
            except Exception as error:
                refused = was_refused(error)
                told = f"{type(error).__name__}: {error}"
                self.store.fail(intent, told, state="failed" if refused else "lost")
                spent = 0.0 if refused else None
                raise _RequestFailedError(error) from error
            text = sample.text.encode("utf-8", "replace").decode("utf-8")  # SQLite takes no lone surrogate
            sample = replace(sample, text=text, usage=price.priced(sample.usage))
            spent = sample.usage.usd if sample.usage is not None else None
            self.store.receive(intent, StoredSample(draw, seed, sample))
        finally:
            self.cap.settle(reserved, spent)
        with self._lock:
            self._outcome.received += 1
            self._failures_in_a_row[role] = 0
        if self.progress is not None:
            self.progress.advance(role, spent)

    def _give_up(self, draw: Draw, question: Question, error: BaseException) -> None:
        told = f"{draw.role} model {self.models[draw.role].name}, question {question.id!r}: {error}"
        with self._lock:
            self._outcome.failed.append(told)
            self._failures_in_a_row[draw.role] += 1
            in_a_row = self._failures_in_a_row[draw.role]
        if is_hopeless(error) or in_a_row >= _FAILURES_IN_A_ROW:
            raise ModelError(
                f"{told} ({type(error).__name__}"
                + (f", {in_a_row} requests in a row failed" if in_a_row > 1 else "")
                + "). What was received is kept; mend the cause and give the same command again"
            ) from error


class _RequestFailedError(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class _Source:
    """Hands out draws to threads, each once."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        self._draws = iter(draws)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Draw]:
        return self

    def __next__(self) -> Draw:
        with self._lock:
            return next(self._draws)
