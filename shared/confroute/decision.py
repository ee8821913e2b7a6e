"""What every face speaks: a request goes in, a decision comes out.

No framework type appears here. A face turns its framework's messages into a `RouteRequest`, hands the
router a `Sampler` for its edge model, and receives a `Decided`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from confroute.answers import without_thought

Route = Literal["edge", "cloud"]
Role = Literal["system", "user", "assistant", "tool"]
Method = Literal[
    "trained",
    "confidence",
    "entropy",
    "self_check",
    "cascade",
    "forced",
    "private",
    "capability",
    "budget",
    "fallback",
]

FOLLOW_UP_WORDS = 8
"""A last human turn of fewer words is read together with the exchange before it."""

_CONTEXT_CHARS = 500


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        text: The text of the turn; blocks that are not text are left out.
        has_images: Whether the turn carries images.
        media: What else it carries: ``"audio"``, ``"video"``, ``"pdf"``.
    """

    role: Role
    text: str
    has_images: bool = False
    media: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """The question to be routed, without any framework type.

    Attributes:
        messages: The conversation so far, oldest first.
        tools: Names of the tools that the answering model may call.
        private: Whether the request must never leave the edge.
        query: The question itself, which a trained router embeds and judges of meaning read. In a prompt
            that carries passages it is what was asked, not the prompt. Derived from `messages` if empty:
            the last human turn, with the exchange before it where the turn is too short to stand alone
            ("yes, do it").
        tool_schemas: The JSON schema of each tool's arguments, by the tool's name, where it is known.
        answer_schema: The JSON schema that was asked of the answer's text; None where none was.
    """

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()
    private: bool = False
    query: str = ""
    tool_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    answer_schema: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.query:
            object.__setattr__(self, "query", query_in_context(self.messages))

    @classmethod
    def from_text(cls, question: str, *, private: bool = False) -> RouteRequest:
        """Make a request of a single question."""
        return cls(messages=(Message("user", question),), private=private)

    @property
    def has_images(self) -> bool:
        """Whether any turn carries images."""
        return any(message.has_images for message in self.messages)

    @property
    def media(self) -> frozenset[str]:
        """What else its turns carry: ``"audio"``, ``"video"``, ``"pdf"``."""
        return frozenset().union(*(message.media for message in self.messages))


def query_in_context(messages: Sequence[Message]) -> str:
    """Return the last human turn, with the exchange before it if the turn cannot stand alone.

    Args:
        messages: The conversation, oldest first.

    Returns:
        The text to embed; empty if nobody human has spoken.
    """
    turns = [(i, m) for i, m in enumerate(messages) if m.role == "user"]
    if not turns:
        return ""
    position, last = turns[-1]
    if len(turns) == 1 or len(last.text.split()) >= FOLLOW_UP_WORDS:
        return last.text
    previous, question = turns[-2]
    replies = [m.text for m in messages[previous + 1 : position] if m.role == "assistant" and m.text]
    context = [question.text[-_CONTEXT_CHARS:], *(text[-_CONTEXT_CHARS:] for text in replies[-1:])]
    return "\n".join([*context, last.text])


class Usage(BaseModel):
    """Tokens and money of one call or of several.

    Attributes:
        input_tokens: Prompt tokens; None where the model does not tell.
        output_tokens: Generated tokens; None where the model does not tell.
        usd: US dollars; None where the price is unknown, never 0 for "unknown".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    usd: float | None = Field(default=None, ge=0)

    @classmethod
    def none_spent(cls) -> Usage:
        """Return the usage of no call at all."""
        return cls(input_tokens=0, output_tokens=0, usd=0.0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            usd=_sum(self.usd, other.usd),
        )


def total_usage(usages: Sequence[Usage | None]) -> Usage:
    """Add usages up; whatever is unknown in one of them is unknown in the sum."""
    total = Usage.none_spent()
    for usage in usages:
        total += usage if usage is not None else Usage()
    return total


Number = TypeVar("Number", int, float)


def _sum(a: Number | None, b: Number | None) -> Number | None:
    return None if a is None or b is None else a + b


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of a model.

    Attributes:
        name: The tool's name.
        args: Its arguments.
        unread: The arguments as the model wrote them, where they are no JSON object; None where they are.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    unread: str | None = None

    @property
    def key(self) -> str:
        """A canonical text: equal for the same tool with equal arguments."""
        if self.unread is not None:
            return f"{self.name}({self.unread})"
        return f"{self.name}({json.dumps(dict(self.args), sort_keys=True, ensure_ascii=False, default=str)})"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer drawn from a model.

    Attributes:
        text: The answer.
        tool_calls: The tools that it calls, if any.
        logprob: Sum of the log-probabilities of the answer's tokens, in nats; None where unknown.
        n_tokens: Number of tokens that `logprob` sums over; None where unknown.
        usage: Tokens and money of the call; None where unknown.
        model: Name of the model that answered; empty where unknown.
        cut: Whether it was cut off at its longest length.
        problem: Why it cannot be used, as a clause after "the edge's answer", where what drew it knows.
        raw: The framework's own reply object, so that a draft can be handed out as the reply.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    logprob: float | None = None
    n_tokens: int | None = None
    usage: Usage | None = None
    model: str = ""
    cut: bool = False
    problem: str | None = None
    raw: Any = field(default=None, compare=False, repr=False)

    @property
    def mean_logprob(self) -> float | None:
        """Mean token log-probability in nats: log P(s|x) / tokens; None where unknown."""
        if self.logprob is None or not self.n_tokens:
            return None
        return self.logprob / self.n_tokens

    @property
    def is_empty(self) -> bool:
        """Whether the answer has neither a tool call nor text beyond its thought."""
        return not self.tool_calls and not without_thought(self.text).strip()


@runtime_checkable
class Sampler(Protocol):
    """A face's handle on one model.

    It keeps the original messages (images, tool history) and the bound tools; `append` adds what a probe
    or a self-check asks. A temperature of None is the model's own where its user set one, and greedy
    otherwise. Log-probabilities and several answers in one request are wishes: a model that refuses them is
    asked without. It may return fewer samples than asked for only by raising.
    """

    def sample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
    ) -> list[Sample]:
        """Draw `n` answers to the request."""
        ...

    async def asample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
    ) -> list[Sample]:
        """Draw `n` answers to the request."""
        ...


class RouterInfo(BaseModel):
    """Which router decided: its name and its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class RouteDecision(BaseModel):
    """Who answers, and why.

    Attributes:
        route: The model that answers (after a fallback: that answered).
        score: "The cloud is needed", in [0, 1]; None where no router was asked.
        threshold: The cloud answers where ``score >= threshold``; None where no router was asked.
        method: What ruled.
        reason: A sentence for people.
        private: Whether the request was pinned to the edge.
        n_samples: How many answers were drawn in order to decide.
        usage: Tokens and US dollars spent to decide: samples and discarded drafts, not the reply.
        settled_early: Whether drawing stopped once the verdict was settled; the score is then a bound on
            that of all samples, on the same side of the threshold.
        router: The router that was asked, and by its name the scale of the score; None where none was.
        fallback_from: The route that was decided on, if another one answered.
        fallback_cause: Why that other one answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    route: Route
    score: float | None = Field(default=None, ge=0, le=1)
    threshold: float | None = None
    method: Method
    reason: str
    private: bool = False
    n_samples: int = Field(default=0, ge=0)
    usage: Usage = Field(default_factory=Usage.none_spent)
    settled_early: bool = False
    router: RouterInfo | None = None
    fallback_from: Route | None = None
    fallback_cause: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain JSON data."""
        return self.model_dump(mode="json")


class Evidence(Protocol):
    """What a router saw, for people who ask why."""

    def groups(self) -> list[list[Sample]]:
        """Return the answers by meaning: first those that mean what would be handed out."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what was seen as plain JSON data."""
        ...


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and, where the signal already produced a reply, the draft.

    Attributes:
        decision: Who answers, and why.
        draft: An edge answer that is good enough to be the reply; None if the model must still answer.
        evidence: What the router saw; None where it drew no samples.
    """

    decision: RouteDecision
    draft: Sample | None = None
    evidence: Evidence | None = None


@runtime_checkable
class Router(Protocol):
    """Turns a request into a decision. Holds no LLM."""

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers.

        Raises:
            ConfigurationError: If the router needs samples and got no sampler.
        """
        ...

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers."""
        ...


def clip_score(score: float) -> float:
    """Clip a score to [0, 1] and turn −0.0 into 0.0."""
    return min(1.0, max(0.0, float(score))) + 0.0
