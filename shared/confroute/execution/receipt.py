"""Settling an answer: the money, the counters and the log."""

from __future__ import annotations

from dataclasses import dataclass

from confroute.decision import Decided, RouteRequest, Usage
from confroute.execution.accounts import Counters, Purse
from confroute.execution.failures import Failure
from confroute.execution.limits import PromptSize
from confroute.execution.log import DecisionLog
from confroute.execution.side import Side


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its request, how long the prompt is, and what it may still spend."""

    request: RouteRequest
    size: PromptSize
    purse: Purse


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where answers are counted.

    Attributes:
        counters: Adds them up.
        log: Where decisions are logged; None for nowhere.
        cloud_price: What the cloud would have cost, in US dollars per input and per output token.
    """

    counters: Counters
    log: DecisionLog | None
    cloud_price: tuple[float, float] | None


class Receipt:
    """Settles one answer, once: the money, the counters and the log.

    Args:
        accounts: Where it is counted.
        call: The call that it answers.
        decided: The decision, and the draft that is the answer if there is one.
        side: The model that answers.
        reserved: The money that was reserved for it.
    """

    def __init__(self, accounts: Accounts, call: Call, decided: Decided, side: Side, reserved: float) -> None:
        self._accounts = accounts
        self._side = side
        self._call = call
        self._decision = decided.decision
        self._draft = decided.draft
        self._reserved = reserved
        self._settled = False
        self._is_read = False

    def read(self) -> None:
        """Tell that the answer is a stream that somebody reads."""
        self._is_read = True

    def forgotten(self) -> None:
        """Tell that nobody will read the stream any more; one that was begun is settled by its own end."""
        if not self._is_read:
            self.failed(Failure.TIMEOUT)

    def done(self, usage: Usage | None) -> None:
        """Tell that the answer has ended, and what it used; of a draft that is known, and settled already."""
        if self._settled:
            return
        usage = self._side.priced(usage) if self._draft is None else self._draft.usage
        self._settle(usage.usd if usage is not None and self._draft is None else None)
        self._accounts.counters.add(self._decision, usage, self._accounts.cloud_price)
        if self._accounts.log is not None:
            self._accounts.log.write(self._call.request, self._decision, usage)

    def failed(self, failure: Failure, *, billed: bool = False, used: Usage | None = None) -> None:
        """Tell that no answer came, or one that was rejected.

        Args:
            failure: What kind of failure it was; what timed out may be billed.
            billed: Whether it is billed in any case.
            used: What it has used, where that is known.
        """
        if self._settled:
            return
        priced = self._side.priced(used) if used is not None else None
        if priced is not None and priced.usd is not None:
            self._settle(priced.usd)
        else:
            self._settle(None if billed or used is not None or failure is Failure.TIMEOUT else 0.0)

    def _settle(self, usd: float | None) -> None:
        self._settled = True
        self._call.purse.settle(self._reserved, usd)
