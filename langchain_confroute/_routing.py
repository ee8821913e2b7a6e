"""One routed call through LangChain: a chain run with the chosen model's run below it.

Nesting one chat-model run in another counts tokens twice and streams them twice, so the routed call is a
*chain* run, and the model that answers is its child.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.callbacks.manager import AsyncParentRunManager, ParentRunManager
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
    merge_configs,
    patch_config,
)

from confroute.decision import RouteDecision, Router, RouteRequest, Sampler, Usage
from confroute.execution.control import Controls, current_controls
from confroute.execution.execution import Execution
from confroute.execution.failures import EmptyAnswerError
from confroute.execution.limits import PromptSize
from confroute.execution.streams import aopened, nothing, opened
from confroute.execution.telemetry import event_of as event_of  # for the other faces of this package
from confroute.execution.turn import Answer, Deciding, Turn, adrive, drive
from langchain_confroute._listening import CutOff, Listener, says_something
from langchain_confroute._messages import is_empty, stamp, stamp_of
from langchain_confroute._messages import sticky_decision as sticky_decision  # the same
from langchain_confroute._usage import chat_model_of, priced_usage

DECISION_EVENT = "confroute.decision"
"""Name of the custom event that carries the decision and its evidence."""

_DRAFT = "confroute_draft"
_QUERY_KEY = "confroute_query"
_Run = ParentRunManager | AsyncParentRunManager


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be routed.

    Attributes:
        input: What the models are given.
        request: The same, as the router sees it.
        sampler: Makes the handle on the edge model, given the run's config.
        kwargs: Further arguments of the models.
        sticky: The decision of this turn's earlier call, in a tool loop.
        size: How long the prompt is.
        drafts: Whether an answer that was sampled can be the reply.
        controls: What `confroute.control` ruled when the call was made, even if its stream is read later.
    """

    input: Any
    request: RouteRequest
    sampler: Callable[[RunnableConfig], Sampler | None]
    kwargs: dict[str, Any]
    sticky: RouteDecision | None = None
    size: PromptSize | None = None
    drafts: bool = True
    controls: Controls = field(default_factory=current_controls)


@dataclass(frozen=True, slots=True)
class Routing:
    """Routes between two Runnables.

    Attributes:
        edge: The edge.
        cloud: The cloud.
        router: Decides.
        execution: Carries decisions out.
        name: Name of the chain run.
        rate_limiter: Asked once a call, before anything else.
    """

    edge: Runnable[Any, Any]
    cloud: Runnable[Any, Any]
    router: Router
    execution: Execution
    name: str
    rate_limiter: BaseRateLimiter | None = None

    def invoke(self, call: Call, config: RunnableConfig | None) -> Any:
        """Answer with one model."""
        if self.rate_limiter is not None:
            self.rate_limiter.acquire(blocking=True)
        config = ensure_config(config)
        run = get_callback_manager_for_config(config).on_chain_start(
            None, call.input, name=config.get("run_name") or self.name, run_id=config.pop("run_id", None)
        )

        def answer(step: Answer) -> tuple[Answer, Listener, Any]:
            draft, heard = draft_of(step), Listener(step.spoken)
            if draft is not None:
                reply = stamped(draft, step.decision)
                tell_draft(run, step.decision, call.input, reply)
                return step, heard, reply
            child = _child(config, run, step.decision, heard)
            with heard.charging():
                try:
                    reply = self.model(step).invoke(call.input, child, **call.kwargs)
                except Exception as error:
                    if not heard.shown:
                        raise
                    return step, heard, CutOff(error)
                return step, heard, stamped(reply, step.decision)

        try:
            deciding = self._deciding(call, config, run)
            step, heard, reply = drive(self._turn(call, config), deciding.ask, answer)
            step.receipt.done(self._usage(step, reply, heard))
            if isinstance(reply, CutOff):
                raise reply.error
            dispatch_custom_event(DECISION_EVENT, event_of(step), config=_under(config, run))
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(reply)
        return reply

    async def ainvoke(self, call: Call, config: RunnableConfig | None) -> Any:
        """Answer with one model."""
        if self.rate_limiter is not None:
            await self.rate_limiter.aacquire(blocking=True)
        config = ensure_config(config)
        run = await get_async_callback_manager_for_config(config).on_chain_start(
            None, call.input, name=config.get("run_name") or self.name, run_id=config.pop("run_id", None)
        )

        async def answer(step: Answer) -> tuple[Answer, Listener, Any]:
            draft, heard = draft_of(step), Listener(step.spoken)
            if draft is not None:
                reply = stamped(draft, step.decision)
                await atell_draft(run, step.decision, call.input, reply)
                return step, heard, reply
            child = _child(config, run, step.decision, heard)
            with heard.charging():
                try:
                    reply = await self.model(step).ainvoke(call.input, child, **call.kwargs)
                except Exception as error:
                    if not heard.shown:
                        raise
                    return step, heard, CutOff(error)
                return step, heard, stamped(reply, step.decision)

        try:
            deciding = self._deciding(call, config, run)
            step, heard, reply = await adrive(self._turn(call, config), deciding.aask, answer)
            step.receipt.done(self._usage(step, reply, heard))
            if isinstance(reply, CutOff):
                raise reply.error
            await adispatch_custom_event(DECISION_EVENT, event_of(step), config=_under(config, run))
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(reply)
        return reply

    def stream(self, call: Call, config: RunnableConfig | None) -> Iterator[Any]:
        """Answer with one model, chunk by chunk; the first chunk carries the decision."""
        if self.rate_limiter is not None:
            self.rate_limiter.acquire(blocking=True)
        config = ensure_config(config)
        run = get_callback_manager_for_config(config).on_chain_start(
            None, call.input, name=config.get("run_name") or self.name, run_id=config.pop("run_id", None)
        )

        def answer(step: Answer) -> tuple[Answer, Listener, list[Any], Iterator[Any]]:
            draft, heard = draft_of(step), Listener()
            if draft is not None:
                tell_draft(run, step.decision, call.input, stamped(draft, step.decision))
                return step, heard, [as_chunk(draft)], iter(())
            child = _child(config, run, step.decision, heard)
            chunks = self.model(step).stream(call.input, child, **call.kwargs)
            with heard.charging():
                return step, heard, *opened(chunks, says_something)

        said: list[Any] = []
        try:
            deciding = self._deciding(call, config, run)
            step, heard, opening, rest = drive(self._turn(call, config), deciding.ask, answer)
            try:
                dispatch_custom_event(DECISION_EVENT, event_of(step), config=_under(config, run))
                for chunk in (stamped(opening[0], step.decision), *opening[1:]):
                    said.append(chunk)
                    yield chunk
                for chunk in rest:
                    said.append(chunk)
                    yield chunk
            finally:
                step.receipt.done(self._usage(step, _joined(said), heard))
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(_joined(said))

    async def astream(self, call: Call, config: RunnableConfig | None) -> AsyncIterator[Any]:
        """Answer with one model, chunk by chunk; the first chunk carries the decision."""
        if self.rate_limiter is not None:
            await self.rate_limiter.aacquire(blocking=True)
        config = ensure_config(config)
        run = await get_async_callback_manager_for_config(config).on_chain_start(
            None, call.input, name=config.get("run_name") or self.name, run_id=config.pop("run_id", None)
        )

        async def answer(step: Answer) -> tuple[Answer, Listener, list[Any], AsyncIterator[Any]]:
            draft, heard = draft_of(step), Listener()
            if draft is not None:
                await atell_draft(run, step.decision, call.input, stamped(draft, step.decision))
                return step, heard, [as_chunk(draft)], nothing()
            child = _child(config, run, step.decision, heard)
            chunks = self.model(step).astream(call.input, child, **call.kwargs)
            with heard.charging():
                return step, heard, *await aopened(chunks, says_something)

        said: list[Any] = []
        try:
            deciding = self._deciding(call, config, run)
            step, heard, opening, rest = await adrive(self._turn(call, config), deciding.aask, answer)
            try:
                await adispatch_custom_event(DECISION_EVENT, event_of(step), config=_under(config, run))
                for chunk in (stamped(opening[0], step.decision), *opening[1:]):
                    said.append(chunk)
                    yield chunk
                async for chunk in rest:
                    said.append(chunk)
                    yield chunk
            finally:
                step.receipt.done(self._usage(step, _joined(said), heard))
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(_joined(said))

    def model(self, step: Answer) -> Runnable[Any, Any]:
        """Return the model that a step lets answer."""
        return self.edge if step.decision.route == "edge" else self.cloud

    def _turn(self, call: Call, config: RunnableConfig) -> Turn:
        return self.execution.turn(
            call.request,
            controls=controls_of(config, call.controls),
            sticky=call.sticky,
            size=call.size,
            drafts=call.drafts,
        )

    def _deciding(self, call: Call, config: RunnableConfig, run: _Run) -> Deciding:
        return Deciding(self.router, lambda: call.sampler(_under(config, run)))

    def _usage(self, step: Answer, reply: Any, heard: Listener) -> Usage | None:
        message = reply.get("raw") if isinstance(reply, dict) else reply
        if not isinstance(message, BaseMessage):
            return heard.usage  # a structured output, or whatever a chain makes of its models' answers
        return priced_usage(message, chat_model_of(self.model(step)))


def controls_of(config: RunnableConfig | None, ruled: Controls | None = None) -> Controls:
    """Return what the caller rules: by `confroute.control` (now, if not given), and on top by the config."""
    configurable = (config or {}).get("configurable", {})
    ruled = ruled if ruled is not None else current_controls()
    return ruled.then(Controls.from_mapping(configurable))


def without_query(config: RunnableConfig) -> RunnableConfig:
    """Return a config as a call hands it on: the question is that of the call, not of what it calls."""
    configurable = config.get("configurable", {})
    if _QUERY_KEY not in configurable:
        return config
    others = {key: value for key, value in configurable.items() if key != _QUERY_KEY}
    return cast("RunnableConfig", {**config, "configurable": others})


def draft_of(step: Answer) -> Any | None:
    """Return the reply that a sampling router already has; None if the model must still answer."""
    return step.draft.raw if step.draft is not None else None


def stamped(reply: Any, decision: RouteDecision) -> Any:
    """Stamp a reply with its decision: a message, one carried as ``raw``, or the last of an agent's.

    Raises:
        EmptyAnswerError: If it is nothing, or a message without text or tool call.
    """
    if reply is None:
        raise EmptyAnswerError
    if isinstance(reply, AIMessageChunk):
        return stamp(reply, decision)
    if isinstance(reply, BaseMessage):
        if is_empty(reply):
            raise EmptyAnswerError
        return stamp(reply, decision)
    if isinstance(reply, dict) and isinstance(reply.get("raw"), BaseMessage):
        return {**reply, "raw": stamp(reply["raw"], decision)}
    if isinstance(reply, dict) and isinstance(reply.get("messages"), list):
        return {**reply, "messages": _last_stamped(reply["messages"], decision)}
    return reply


def _last_stamped(messages: list[Any], decision: RouteDecision) -> list[Any]:
    """Stamp the last answer among messages, unless it has a decision of its own that is as private."""
    for i in range(len(messages) - 1, -1, -1):
        if isinstance(messages[i], AIMessage):
            own = stamp_of(messages[i])
            if own is None or (decision.private and not own.get("private")):
                return [*messages[:i], stamp(messages[i], decision), *messages[i + 1 :]]
            break
    return messages


def _under(config: RunnableConfig, run: _Run) -> RunnableConfig:
    return patch_config(without_query(config), callbacks=run.get_child())


def tell_draft(run: ParentRunManager, decision: RouteDecision, given: Any, draft: Any) -> None:
    """Trace an answer that was sampled, with the verdict in its tag and metadata as for any other answer."""
    below = run.get_child(f"route:{decision.route}")
    below.add_metadata(told_of(decision), inherit=False)
    below.on_chain_start(None, given, name=_DRAFT).on_chain_end(draft)


async def atell_draft(run: AsyncParentRunManager, decision: RouteDecision, given: Any, draft: Any) -> None:
    """Trace an answer that was sampled; see `tell_draft`."""
    below = run.get_child(f"route:{decision.route}")
    below.add_metadata(told_of(decision), inherit=False)
    await (await below.on_chain_start(None, given, name=_DRAFT)).on_chain_end(draft)


def _child(config: RunnableConfig, run: _Run, decision: RouteDecision, heard: Listener) -> RunnableConfig:
    """Configure the answering model's run: below the chain's, with the verdict in its tag and metadata."""
    callbacks = run.get_child(f"route:{decision.route}")
    callbacks.handlers.insert(0, heard)  # before those that show
    callbacks.inheritable_handlers.insert(0, heard)
    handed_on = patch_config(without_query(config), callbacks=callbacks)
    return merge_configs(handed_on, {"metadata": told_of(decision)})


def told_of(decision: RouteDecision) -> dict[str, Any]:
    """Return the verdict as metadata of the answering model's run."""
    return {f"confroute_{key}": getattr(decision, key) for key in ("route", "score", "method", "reason")}


def as_chunk(message: Any) -> Any:
    """Return a whole message as the only chunk of a stream."""
    if not isinstance(message, AIMessage):
        return message
    fields = message.model_dump(exclude={"type"})
    return AIMessageChunk(**fields, chunk_position="last")


def _joined(chunks: Sequence[Any]) -> Any:
    """Add chunks up as LangChain does; where they do not add up, the last one is the whole."""
    if not chunks:
        return None
    whole = chunks[0]
    for chunk in chunks[1:]:
        try:
            whole = whole + chunk
        except TypeError:
            whole = chunk
    return whole
