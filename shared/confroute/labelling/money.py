"""Prices of a run and a cap on what it may spend, in US dollars."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

from confroute.decision import RouteRequest, Usage
from confroute.errors import ConfigurationError, ConfRouteError
from confroute.prices import token_prices

_PER_TURN_TOKENS = 32
"""Room for what a chat template adds to a turn."""


def read_prices(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read a price table.

    Args:
        path: A JSON object from model name to ``{"input": dollars, "output": dollars}`` per million tokens.

    Returns:
        Dollars per input token and per output token, by model.

    Raises:
        ConfigurationError: If the file is not such a table.
    """
    expected = 'expected {"model name": {"input": 0.15, "output": 0.60}}, in US dollars per million tokens'
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        prices = {
            model: (float(row["input"]) / 1e6, float(row["output"]) / 1e6) for model, row in table.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"cannot read the prices in {path} ({error!r}): {expected}") from error
    if not all(0 <= price < float("inf") for pair in prices.values() for price in pair):
        raise ConfigurationError(f"a price in {path} is negative or not finite: {expected}")
    return prices


class SpendCapError(ConfRouteError, RuntimeError):
    """The next request might exceed the spend cap."""

    def __init__(self, most: float | None) -> None:
        super().__init__(
            f"the spend cap of ${most:g} is reached; what was received is kept: raise --max-usd and give the "
            "command again to go on"
        )


class Price:
    """What one model's calls cost.

    Args:
        model: The model's name.
        table: The user's own prices in dollars per token, which go before list prices.
    """

    def __init__(self, model: str, table: Mapping[str, tuple[float, float]]) -> None:
        self.model = model
        self.own = table.get(model)
        self.per_token = self.own or token_prices(model)

    def priced(self, usage: Usage | None) -> Usage | None:
        """Return the usage with its cost where tokens and price are known; the user's price goes first."""
        if usage is None or self.per_token is None or (usage.usd is not None and self.own is None):
            return usage
        if usage.input_tokens is None or usage.output_tokens is None:
            return usage
        cost = usage.input_tokens * self.per_token[0] + usage.output_tokens * self.per_token[1]
        return usage.model_copy(update={"usd": cost})

    def most(self, request: RouteRequest, max_tokens: int | None) -> float | None:
        """Return the most that one answer can cost; None where price or longest reply is unknown.

        No tokenizer makes more tokens than the text has bytes.
        """
        if self.per_token is None or max_tokens is None:
            return None
        n_input = sum(len(m.text.encode()) + _PER_TURN_TOKENS for m in request.messages)
        return n_input * self.per_token[0] + max_tokens * self.per_token[1]


class SpendCap:
    """Never lets a run spend more than it may: money is reserved before a request is sent.

    Args:
        most: The cap in US dollars; None for none.
        spent: What the run has spent already.
    """

    def __init__(self, most: float | None, *, spent: float = 0.0) -> None:
        self.most = most
        self.spent = spent
        self._reserved = 0.0
        self._in_flight = 0
        self._change = threading.Condition()

    def reserve(self, amount: float | None) -> bool:
        """Set money aside, or return False; waits while requests in flight may give some back."""
        if self.most is None or amount is None:
            return True
        with self._change:
            while self.spent + self._reserved + amount > self.most:
                if self._in_flight == 0:
                    return False
                self._change.wait()
            self._reserved += amount
            self._in_flight += 1
            return True

    def settle(self, reserved: float | None, spent: float | None) -> None:
        """Give back what was set aside and count what was spent; all of it where that is unknown."""
        with self._change:
            if self.most is not None and reserved is not None:
                self._reserved -= reserved
                self._in_flight -= 1
            self.spent += (reserved or 0.0) if spent is None else spent
            self._change.notify_all()
