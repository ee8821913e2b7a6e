"""`ConfRouteSelector`: chooses between two query engines, one on the edge and one on the cloud."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import QueryBundle
from llama_index.core.tools.types import ToolMetadata

from confroute.decision import Route, RouteDecision, Router, RouteRequest
from confroute.errors import ConfigurationError
from confroute.execution.accounts import Stats
from confroute.execution.execution import Execution, OnError
from confroute.execution.log import DecisionLog
from confroute.execution.side import Side
from confroute.execution.turn import Answer, Deciding, Turn, averdict, checked_router, verdict
from confroute.routers.confidence import ConfidenceRouter
from llamaindex_confroute import _calls
from llamaindex_confroute._sampling import Copies, LlamaIndexSampler
from llamaindex_confroute._sides import name_of, side_of
from llamaindex_confroute.events import tell


class RouteSelection(SelectorResult):
    """The choice of one query engine, with the decision behind it.

    Attributes:
        decision: Who answers, and why.
    """

    decision: RouteDecision


class ConfRouteSelector(BaseSelector):
    """Chooses between two tools named for edge and cloud, such as ``"edge"`` and ``"cloud"``.

    The `RouterQueryEngine` puts the result into ``response.metadata["selector_result"]``, with a reason in
    words and the decision. Name its own ``llm=`` too, or LlamaIndex falls back on OpenAI.

    Args:
        router: Decides.
        edge: The edge LLM, which routers that look at it need.
        sampler: The LLM that the router looks at, where that is not the edge.
        on_error: Where a question goes when the router or its samples fail: ``"cloud"``, ``"edge"`` or
            ``"raise"``.
        edge_timeout: Seconds that sampling may take; None for no limit.
        log: Where decisions are logged; nowhere by default.

    Raises:
        ConfigurationError: If the router is none.

    Example:
        ```python
        from llama_index.core import Document, SummaryIndex
        from llama_index.core.query_engine import RouterQueryEngine
        from llama_index.core.tools import QueryEngineTool
        from llama_index.llms.ollama import Ollama
        from llamaindex_confroute import ConfRouteSelector

        llms = {"edge": Ollama(model="qwen2.5:1.5b"), "cloud": Ollama(model="qwen2.5:72b")}
        index = SummaryIndex.from_documents([Document(text="The boiler is due for service in May.")])
        tools = [QueryEngineTool.from_defaults(index.as_query_engine(m), name=n) for n, m in llms.items()]
        engine = RouterQueryEngine(ConfRouteSelector.from_defaults(edge=llms["edge"]), tools, llms["cloud"])
        print(engine.query("When is the boiler due?").metadata["selector_result"].reason)
        ```
    """

    def __init__(
        self,
        *,
        router: Router,
        edge: LLM | None = None,
        sampler: LLM | None = None,
        on_error: OnError = "cloud",
        edge_timeout: float | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        self._router = checked_router(router, edge=None if edge is None else name_of(edge))
        self._sampler = edge if sampler is None else sampler
        self._copies = Copies()
        side = Side("edge", timeout=edge_timeout) if edge is None else side_of(edge, timeout=edge_timeout)
        sampled = None if sampler is None else side_of(sampler, timeout=edge_timeout)
        self._execution = Execution(side, Side("cloud"), sampled=sampled, on_error=on_error, log=log)

    @classmethod
    def from_defaults(
        cls, router: Router | None = None, edge: LLM | None = None, **kwargs: Any
    ) -> ConfRouteSelector:
        """Make a selector; the default router looks at a bare answer of the edge."""
        return cls(router=router or ConfidenceRouter(probe="brief"), edge=edge, **kwargs)

    @property
    def stats(self) -> Stats:
        """What this object has done so far; the replies are the engines' own, so money counts as unknown."""
        return self._execution.stats

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        pass

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        positions = _positions(choices)
        return self._selected(positions, verdict(self._steps(query), self._deciding(query)))

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        positions = _positions(choices)
        return self._selected(positions, await averdict(self._steps(query), self._deciding(query)))

    def _steps(self, query: QueryBundle) -> Turn:
        return self._execution.turn(RouteRequest.from_text(query.query_str), drafts=False)

    def _deciding(self, query: QueryBundle) -> Deciding:
        return Deciding(self._router, lambda: self._handle(query))

    def _selected(self, positions: dict[Route, int], step: Answer) -> RouteSelection:
        tell(step)
        decision = step.decision
        selection = SingleSelection(
            index=positions[decision.route], reason=f"{decision.reason} → {decision.route}"
        )
        return RouteSelection(selections=[selection], decision=decision)

    def _handle(self, query: QueryBundle) -> LlamaIndexSampler | None:
        if self._sampler is None:
            return None
        call = _calls.chat([ChatMessage(query.query_str)], {})
        return LlamaIndexSampler(self._sampler, call.method, call.arguments, self._copies)


def _positions(choices: Sequence[ToolMetadata]) -> dict[Route, int]:
    """Find the edge and the cloud among the choices, by the words of their names."""
    words = [set(re.split(r"[^a-z]+", (choice.name or "").lower())) for choice in choices]
    found = {route: [i for i, said in enumerate(words) if route in said] for route in ("edge", "cloud")}
    positions = {route: places[0] for route, places in found.items() if len(places) == 1}
    if len(choices) != 2 or len(set(positions.values())) != 2:
        names = ", ".join(repr(choice.name) for choice in choices) or "nothing"
        raise ConfigurationError(
            f"cannot choose between {names}: expected two tools, one with 'edge' and one with 'cloud' as a "
            "word of its name. Name them with QueryEngineTool.from_defaults(..., name='edge')"
        )
    return positions  # type: ignore[return-value]  # the keys are the two routes
