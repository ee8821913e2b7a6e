"""What a call costs, in US dollars: your own prices, else the list prices that genai-prices keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from confroute.decision import Usage
from confroute.errors import ConfigurationError

_own: dict[str, tuple[float, float]] = {}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - recognised, not bound to


def is_on_this_machine(urls: Iterable[str]) -> bool:
    """Whether all URLs, of which there must be one, lead to this machine, where calls cost no money."""
    hosts = [urlsplit(url if "//" in url else f"//{url}").hostname for url in urls]
    return bool(hosts) and _LOOPBACK.issuperset(hosts)


def register_price(model: str, *, usd_per_million_input: float, usd_per_million_output: float) -> None:
    """Set the price of a model that no list has, or that you get at another price, for this process.

    It goes before list prices, and before the rule that models on this machine cost nothing. Faces read a
    model's price when they are made: register first.

    Args:
        model: The model's name, as it tells itself in its replies.
        usd_per_million_input: US dollars per million prompt tokens.
        usd_per_million_output: US dollars per million generated tokens.

    Raises:
        ConfigurationError: If a price is negative or not a finite number.
    """
    per_million = (usd_per_million_input, usd_per_million_output)
    if not all(0 <= price < math.inf for price in per_million):
        raise ConfigurationError(
            f"the price of {model!r} is {per_million}: expected US dollars per million tokens, at least 0"
        )
    _own[model] = (per_million[0] / 1e6, per_million[1] / 1e6)


def with_price(usage: Usage, model: str, provider: str | None = None, *, local: bool = False) -> Usage:
    """Return the usage with its list price; unknown models and uninstalled price lists leave it unknown.

    Args:
        usage: Tokens of the call; must know both counts to be priced.
        model: The model's name, as its provider spells it.
        provider: The provider's name, such as ``openai``.
        local: Whether the model runs on this machine, where calls cost no money.
    """
    if local and model not in _own:
        return usage.model_copy(update={"usd": 0.0})
    if usage.usd is not None or usage.input_tokens is None or usage.output_tokens is None:
        return usage
    per_token = token_prices(model, provider)
    if per_token is None:
        return usage
    usd = usage.input_tokens * per_token[0] + usage.output_tokens * per_token[1]
    return usage.model_copy(update={"usd": usd})


def token_prices(
    model: str, provider: str | None = None, *, local: bool = False
) -> tuple[float, float] | None:
    """Return US dollars per input token and per output token; None where unknown.

    Args:
        model: The model's name, as its provider spells it.
        provider: The provider's name, such as ``openai``.
        local: Whether the model runs on this machine, where calls cost no money.
    """
    return _own.get(model) or ((0.0, 0.0) if local else _list_prices(model, provider))


@lru_cache(maxsize=256)
def _list_prices(model: str, provider: str | None) -> tuple[float, float] | None:
    try:
        from genai_prices import Usage as PricedUsage
        from genai_prices import calc_price
    except ImportError:
        return None

    def price(**tokens: Any) -> float:
        return float(calc_price(PricedUsage(**tokens), model, provider_id=provider).total_price)

    try:
        return price(input_tokens=1_000) / 1_000, price(output_tokens=1_000) / 1_000
    except LookupError:
        return None
