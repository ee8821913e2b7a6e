"""One of two models, as far as carrying out a decision goes: its limits, its price, what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confroute.decision import RouteRequest, Usage
from confroute.errors import ConfigurationError
from confroute.execution.breaker import Breaker
from confroute.execution.limits import PromptSize


@dataclass(slots=True)
class Side:
    """One of the two models.

    Attributes:
        name: The model's name.
        timeout: Seconds until its first token; None for no limit.
        price: US dollars per input and per output token; None where unknown.
        max_output_tokens: Its longest reply; None where unknown.
        max_input_tokens: Its context window; None where unknown.
        sees_images: Whether it reads images; None where unknown.
        calls_tools: Whether it can call tools; None where unknown.
        reads: Whether it reads ``"audio"``, ``"video"``, ``"pdf"``; what is missing is unknown.
        breaker: Its circuit breaker.
    """

    name: str
    timeout: float | None = None
    price: tuple[float, float] | None = None
    max_output_tokens: int | None = None
    max_input_tokens: int | None = None
    sees_images: bool | None = None
    calls_tools: bool | None = None
    reads: Mapping[str, bool] = field(default_factory=dict)
    breaker: Breaker = field(default_factory=lambda: Breaker("model"))

    def bound(self, input_tokens: int) -> float:
        """Return the most that a call can cost, in US dollars.

        Raises:
            ConfigurationError: If the price or the longest reply is unknown.
        """
        if self.price is None or (self.max_output_tokens is None and self.price[1] > 0):
            missing = "its price" if self.price is None else "its longest reply"
            raise ConfigurationError(
                f"a budget cannot be kept: {missing} is unknown for the model {self.name!r}. Set its maximum "
                "output tokens, and use a model with a list price, or set no budget"
            )
        return input_tokens * self.price[0] + (self.max_output_tokens or 0) * self.price[1]

    def estimate(self, input_tokens: int, longest: int | None = None) -> float:
        """Return the most that a call can cost in US dollars, as far as that is known.

        Args:
            input_tokens: Tokens of the prompt.
            longest: Longest reply, where the caller limits it.
        """
        price_in, price_out = self.price or (0.0, 0.0)
        longest = longest if longest is not None else self.max_output_tokens
        return input_tokens * price_in + (longest or 0) * price_out

    def priced(self, usage: Usage | None) -> Usage | None:
        """Return a usage with its money, where that is not in it and the price is known."""
        if self.price is None or (usage is not None and usage.usd is not None):
            return usage
        if not any(self.price):
            return (usage or Usage()).model_copy(update={"usd": 0.0})
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return usage
        usd = usage.input_tokens * self.price[0] + usage.output_tokens * self.price[1]
        return usage.model_copy(update={"usd": usd})

    def lacks(self, request: RouteRequest, size: PromptSize) -> str | None:
        """Say what the model lacks to serve a request; None where it lacks nothing that is known."""
        unable = self.unable(request)
        if unable is None and self.max_input_tokens is not None and size.about > self.max_input_tokens:
            return (
                f"the prompt of about {size.about} tokens exceeds the {self.max_input_tokens} of {self.name}"
            )
        return unable

    def unable(self, request: RouteRequest) -> str | None:
        """Say what the model cannot do that a request asks for, however long that is."""
        if request.has_images and self.sees_images is False:
            return f"{self.name} cannot see images"
        for kind in sorted(request.media):
            if self.reads.get(kind) is False:
                return f"{self.name} cannot read {kind}"
        if request.tools and self.calls_tools is False:
            return f"{self.name} cannot call tools"
        return None
