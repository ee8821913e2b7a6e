"""`ConfRouteMiddleware`: one decision per user turn of an agent that `create_agent` made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware import types as agents
from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
)
from langchain.chat_models import init_chat_model
from langchain_core.callbacks import BaseCallbackHandler, adispatch_custom_event, dispatch_custom_event
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.runtime import Runtime
from langgraph.types import Command

from confroute.decision import Router
from confroute.errors import ConfigurationError
from confroute.execution.accounts import SpendCap, Stats
from confroute.execution.execution import Execution, OnError
from confroute.execution.failures import failure_of
from confroute.execution.log import DecisionLog
from confroute.execution.telemetry import event_of
from confroute.execution.thread import read_stamp
from confroute.execution.turn import Answer, Deciding, Turn, adrive, checked_router, drive
from langchain_confroute._listening import CutOff, Listener
from langchain_confroute._messages import sticky_decision, to_request
from langchain_confroute._routing import DECISION_EVENT, controls_of, draft_of, stamped, told_of
from langchain_confroute._sides import side_of, size_of
from langchain_confroute._usage import name_of, priced_usage
from langchain_confroute.runnables import Query, text_of
from langchain_confroute.sampling import LangChainSampler

STATE_KEY = "confroute_turn"
"""Where the agent's state keeps this turn's decision."""

_OWN_MODEL = "confroute_own_model"  # only in the copy of the state that one model call works on

Handler = Callable[[ModelRequest[Any]], ModelResponse[Any]]
AsyncHandler = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]


class ConfRouteState(AgentState[Any]):
    """The agent's state with this turn's decision, as plain data that any checkpointer can persist.

    Attributes:
        confroute_turn: ``{"decision": RouteDecision as JSON or None, "private": whether the thread is
            pinned}``.
    """

    confroute_turn: NotRequired[Annotated[dict[str, Any] | None, PrivateStateAttr]]


class ConfRouteMiddleware(AgentMiddleware[ConfRouteState]):
    """Lets an edge model serve the turns of an agent that it is sure about, and a cloud model the others.

    The first model call of a user's turn decides, with the agent's system prompt and tools; the rest of the
    turn's tool loop stays with that model, or after a fallback with the one that answered. The decision rides
    on the answer, in ``response_metadata["confroute"]``, and in the metadata of the run of the model that
    answered. A request without a human message goes to the agent's own model.

    Together with `ModelFallbackMiddleware`, in either order: a model that an outer middleware put in the
    place of the agent's own is left alone. A private request stays on the edge whatever other middleware
    says: handing it to another model is an error.

    Args:
        edge: The cheap model, which is also the one that the router looks at; or its name, such as
            ``"ollama:qwen2.5:1.5b"``.
        cloud: The strong model, or its name.
        router: Decides.
        query: Finds the question in the messages, where they say more; as in `ChatConfRoute`.
        sampler: The model that the router looks at, where that is not the edge, or its name. What it says is
            never the reply.
        on_error: Where a turn goes when the router or its samples fail: ``"cloud"``, ``"edge"`` or
            ``"raise"``.
        edge_timeout: Seconds that an answer (or samples) of the edge may take; None for no limit.
        cloud_timeout: The same for the cloud.
        breaker_server_errors: As in `ChatConfRoute`.
        breaker_reset_after: As in `ChatConfRoute`.
        cap: What this object may spend; when it is spent, the edge answers.
        log: Where decisions are logged; nowhere by default.

    Raises:
        ConfigurationError: If a model is no chat model, or the router no router.

    Example:
        ```python
        edge, cloud = ChatOllama(model="qwen2.5:7b"), ChatOpenAI(model="gpt-5")
        routing = ConfRouteMiddleware(edge=edge, cloud=cloud, router=ConfidenceRouter())
        agent = create_agent(cloud, tools=[search], middleware=[routing])
        agent.invoke({"messages": [("user", "Who wrote Effi Briest?")]})
        ```
    """

    state_schema = ConfRouteState
    if hasattr(agents, "TracePolicy"):  # langchain 1.4: keeps prompts out of the spans of hooks
        trace_policy = agents.TracePolicy(process_inputs=agents.omit_payload)

    def __init__(
        self,
        *,
        edge: str | BaseChatModel,
        cloud: str | BaseChatModel,
        router: Router,
        query: Query | None = None,
        sampler: str | BaseChatModel | None = None,
        on_error: OnError = "cloud",
        edge_timeout: float | None = None,
        cloud_timeout: float | None = None,
        breaker_server_errors: int = 3,
        breaker_reset_after: float = 30.0,
        cap: SpendCap | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        super().__init__()
        self.models = {"edge": _chat_model("edge", edge), "cloud": _chat_model("cloud", cloud)}
        self.sampler = None if sampler is None else _chat_model("sampler", sampler)
        self.query = query
        self.router = checked_router(router, edge=name_of(self.models["edge"]))
        self._execution = Execution.between(
            side_of,
            self.models["edge"],
            self.models["cloud"],
            sampled=self.sampler,
            on_error=on_error,
            edge_timeout=edge_timeout,
            cloud_timeout=cloud_timeout,
            server_errors=breaker_server_errors,
            reset_after=breaker_reset_after,
            cap=cap,
            log=log,
        )

    @property
    def stats(self) -> Stats:
        """What this object has done so far, counted per model call."""
        return self._execution.stats

    def before_agent(self, state: ConfRouteState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Open a turn: forget the last one's decision, but not that the thread is private."""
        if state["messages"] and state["messages"][-1].type == "tool":
            return None  # a tool loop that was left goes on
        private = _kept(state)["private"] or controls_of(ensure_config()).private
        return {STATE_KEY: {"decision": None, "private": private}}

    async def abefore_agent(self, state: ConfRouteState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Open a turn; see `before_agent`."""
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Handler
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Call the model of this turn's decision."""
        config = ensure_config()
        turn = self._turn(request, config)
        if turn is None:
            return handler(request)

        def answer(step: Answer) -> _Outcome:
            draft = draft_of(step)
            if draft is not None:
                return _Outcome.of_draft(step, draft, config)
            heard = Listener(step.spoken)
            with heard.charging():
                try:
                    response = handler(self._routed(request, step, heard))
                except Exception as error:
                    if not heard.shown:
                        raise
                    return _Outcome(step, heard, cut=CutOff(error))
                return _Outcome(step, heard, response).stamped()

        outcome = drive(turn, self._deciding(request, config).ask, answer)
        result = self._settled(outcome)
        if outcome.is_ours:
            dispatch_custom_event(DECISION_EVENT, event_of(outcome.step), config=config)
        return result

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: AsyncHandler
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Call the model of this turn's decision."""
        config = ensure_config()
        turn = self._turn(request, config)
        if turn is None:
            return await handler(request)

        async def answer(step: Answer) -> _Outcome:
            draft = draft_of(step)
            if draft is not None:
                return _Outcome.of_draft(step, draft, config)
            heard = Listener(step.spoken)
            with heard.charging():
                try:
                    response = await handler(self._routed(request, step, heard))
                except Exception as error:
                    if not heard.shown:
                        raise
                    return _Outcome(step, heard, cut=CutOff(error))
                return _Outcome(step, heard, response).stamped()

        outcome = await adrive(turn, self._deciding(request, config).aask, answer)
        result = self._settled(outcome)
        if outcome.is_ours:
            await adispatch_custom_event(DECISION_EVENT, event_of(outcome.step), config=config)
        return result

    def _turn(self, request: ModelRequest[Any], config: RunnableConfig) -> Turn | None:
        """Return the steps of this call; None where the model that is already there shall answer."""
        # Every attempt of one model call sees the same copy of the state, and the first sees the agent's own
        # model. What comes later with another model comes from a fallback around this middleware.
        own = cast("dict[str, Any]", request.state).setdefault(_OWN_MODEL, request.model)
        kept, controls = _kept(request.state), controls_of(config)
        tools = [convert_to_openai_tool(t) if isinstance(t, BaseTool) else t for t in request.tools]
        query = "" if self.query is None else text_of(self.query(_prompt(request)))
        routed = to_request(_prompt(request), tools=tools, query=query)
        routed = replace(routed, private=routed.private or kept["private"] or controls.private)
        is_asked = any(message.type == "human" for message in request.messages)
        if not routed.private and (request.model is not own or not is_asked):
            return None
        decision = kept["decision"]
        return self._execution.turn(
            routed,
            controls=controls,
            sticky=read_stamp(decision) or sticky_decision(request.messages),
            size=size_of(_prompt(request), tools),
            drafts=request.response_format is None and self.sampler is None,
        )

    def _routed(self, request: ModelRequest[Any], step: Answer, heard: Listener) -> ModelRequest[Any]:
        """Put the decision's model into a request, with the verdict in the tag and metadata of its run."""
        decision = step.decision
        model = self.models[decision.route]
        told = {
            "tags": [*(model.tags or []), f"route:{decision.route}"],
            "metadata": {**(model.metadata or {}), **told_of(decision)},
            "callbacks": _with_handler(model, heard),
        }
        routed = request.override(model=model.model_copy(update=told))
        return _PinnedRequest.of(routed) if decision.private else routed

    def _deciding(self, request: ModelRequest[Any], config: RunnableConfig) -> Deciding:
        return Deciding(self.router, lambda: self._sampler(request, config))

    def _sampler(self, request: ModelRequest[Any], config: RunnableConfig) -> LangChainSampler:
        looked_at = self.models["edge"] if self.sampler is None else self.sampler
        bound: Runnable[Any, Any] = looked_at.bind(**request.model_settings)
        if request.tools:
            with suppress(NotImplementedError):  # it is looked at without tools, and answers in words
                bound = looked_at.bind_tools(
                    request.tools, tool_choice=request.tool_choice, **request.model_settings
                )
        return LangChainSampler(bound, _prompt(request), config=config)

    def _settled(self, outcome: _Outcome) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Settle the accounts and hand the answer out, with the decision for the agent's state."""
        step = outcome.step
        if outcome.cut is not None:
            step.receipt.done(None)
            raise outcome.cut.error
        if not outcome.is_ours:
            step.receipt.failed(failure_of(outcome.heard.error or RuntimeError()))
            return outcome.response
        decision, message = step.decision, outcome.message
        usage = priced_usage(message, self.models[decision.route]) if message is not None else None
        step.receipt.done(usage)
        turn = {"decision": decision.to_dict(), "private": decision.private}
        return ExtendedModelResponse(outcome.response, Command(update={STATE_KEY: turn}))


class _Outcome:
    """What became of one attempt.

    Attributes:
        step: The attempt.
        heard: What its model's run showed.
        response: The answer.
        cut: In its place, if it broke off.
    """

    def __init__(
        self,
        step: Answer,
        heard: Listener,
        response: ModelResponse[Any] | None = None,
        cut: CutOff | None = None,
    ) -> None:
        self.step = step
        self.heard = heard
        self.response = response if response is not None else ModelResponse(result=[])
        self.cut = cut

    @classmethod
    def of_draft(cls, step: Answer, draft: AIMessage, config: RunnableConfig) -> _Outcome:
        """Take an answer that was sampled, under the agent's name if it has one."""
        name = config.get("metadata", {}).get("lc_agent_name")
        response = ModelResponse[Any](result=[draft.model_copy(update={"name": name}) if name else draft])
        return cls(step, Listener(), response).stamped()

    @property
    def is_ours(self) -> bool:
        """Whether the model of the decision answered, and not one that an inner middleware put there."""
        return self.heard.answered or self.step.draft is not None

    @property
    def message(self) -> AIMessage | None:
        """The model's message in the answer."""
        return next((m for m in self.response.result if isinstance(m, AIMessage)), None)

    def stamped(self) -> _Outcome:
        """Stamp the model's message, if it is ours.

        Raises:
            EmptyAnswerError: If it is empty.
        """
        if self.is_ours:
            answer = self.message
            result = [stamped(m, self.step.decision) if m is answer else m for m in self.response.result]
            self.response = replace(self.response, result=result)
        return self


class _PinnedRequest(ModelRequest[Any]):
    """A private request, which no later middleware can hand to another model."""

    @classmethod
    def of(cls, request: ModelRequest[Any]) -> _PinnedRequest:
        return cls(**{field.name: getattr(request, field.name) for field in fields(request)})

    def override(self, **overrides: Any) -> ModelRequest[Any]:
        if overrides.get("model", self.model) is not self.model:
            raise ConfigurationError(
                "a private request stays on the edge, but other middleware wanted to hand it to another "
                "model. Send it without private, or leave that middleware out"
            )
        return super().override(**overrides)


def _chat_model(route: str, model: str | BaseChatModel) -> BaseChatModel:
    if isinstance(model, str):
        return init_chat_model(model)
    if not isinstance(model, BaseChatModel):
        raise ConfigurationError(
            f"{route} is a {type(model).__name__}: expected a chat model without tools bound, or its name "
            "such as 'openai:gpt-5'"
        )
    return model


def _kept(state: Any) -> dict[str, Any]:
    return {"decision": None, "private": False} | (state.get(STATE_KEY) or {})


def _prompt(request: ModelRequest[Any]) -> list[BaseMessage]:
    system: Sequence[BaseMessage] = [request.system_message] if request.system_message else []
    return [*system, *request.messages]


def _with_handler(model: BaseChatModel, handler: BaseCallbackHandler) -> Any:
    callbacks = model.callbacks
    if callbacks is None or isinstance(callbacks, list):
        return [handler, *(callbacks or [])]
    manager = callbacks.copy()
    manager.add_handler(handler, inherit=False)
    return manager
