"""What a call costs, in US dollars, from the list prices that the package genai-prices keeps."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from confroute.decision import Usage

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - recognised, not bound to


def is_on_this_machine(urls: Iterable[str]) -> bool:
    """Whether all URLs, of which there must be one, lead to this machine, where calls cost no money."""
    hosts = [urlsplit(url if "//" in url else f"//{url}").hostname for url in urls]
    return bool(hosts) and _LOOPBACK.issuperset(hosts)


def with_price(usage: Usage, model: str, provider: str | None = None, *, local: bool = False) -> Usage:
    """Return the usage with its list price; unknown models and uninstalled price lists leave it unknown.

    Args:
        usage: Tokens of the call; must know both counts to be priced.
        model: The model's name, as its provider spells it.
        provider: The provider's name, such as ``openai``.
        local: Whether the model runs on this machine, where calls cost no money.
    """
    if local:
        return usage.model_copy(update={"usd": 0.0})
    if usage.usd is not None or usage.input_tokens is None or usage.output_tokens is None:
        return usage
    per_token = token_prices(model, provider)
    if per_token is None:
        return usage
    usd = usage.input_tokens * per_token[0] + usage.output_tokens * per_token[1]
    return usage.model_copy(update={"usd": usd})


@lru_cache(maxsize=256)
def token_prices(model: str, provider: str | None = None) -> tuple[float, float] | None:
    """Return US dollars per input token and per output token; None where unknown."""
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
