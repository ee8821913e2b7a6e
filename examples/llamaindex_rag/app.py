"""The app behind the page: the query engine, and what it tells on its way."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import LLM
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index_instrumentation import get_dispatcher

import confroute
from confroute.decision import Router
from confroute.execution.accounts import Stats
from examples.llamaindex_rag import rag
from examples.llamaindex_rag.models import llm
from examples.options import CLOUD_MAX_TOKENS, MAX_TOKENS, STORE, Options, minilm
from examples.page.turn import About, Source, Turn
from examples.standin.llamaindex import RecordedLLM
from llamaindex_confroute import ConfRouteLLM, RouteDecisionEvent

_heard: ContextVar[dict[str, Any] | None] = ContextVar("heard", default=None)


class Hears(BaseEventHandler):
    """Hears the decision, with what the edge said, as any application can: from its event."""

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this handler."""
        return "Hears"

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Keep the decision."""
        if isinstance(event, RouteDecisionEvent):
            _heard.set({**event.decision.to_dict(), "evidence": event.evidence})


def models(options: Options) -> tuple[LLM, LLM]:
    """Return the edge and the cloud that a user chose."""
    cloud = RecordedLLM() if options.cloud is None else llm(options.cloud, max_tokens=CLOUD_MAX_TOKENS)
    return llm(options.edge, max_tokens=MAX_TOKENS), cloud


def opened(options: Options) -> VectorStoreIndex:
    """Open the index of the documents that a user chose."""
    embeddings = HuggingFaceEmbedding(model_name=minilm())
    return rag.index(options.documents, embeddings, name=options.store_name, kept_in=STORE / "llamaindex")


class LlamaIndexApp:
    """Answers questions about a folder of documents.

    Args:
        options: What the user chose.
        router: Who answers; by default the router of the options.
    """

    def __init__(self, options: Options, *, router: Router | None = None) -> None:
        edge, cloud = models(options)
        self.llm = ConfRouteLLM(edge=edge, cloud=cloud, router=router or options.router)
        retriever = opened(options).as_retriever(similarity_top_k=3)
        self.engine = rag.RoutedQueryEngine(retriever=retriever, llm=self.llm)
        self.about = About(
            "LlamaIndex", options.edge, options.cloud_name, options.notes(), options.questions()
        )
        get_dispatcher().add_event_handler(Hears())

    @property
    def stats(self) -> Stats:
        """What the routed model has done so far."""
        return self.llm.stats

    def ask(self, question: str, *, threshold: float | None, private: bool) -> Iterator[Turn]:
        """Answer, chunk by chunk."""
        with confroute.control(threshold=threshold, private=private):
            response = self.engine.query(question)
        assert isinstance(response, StreamingResponse)  # noqa: S101 - what the engine returns
        sources = [Source(node.metadata["file_name"], node.text) for node in response.source_nodes]
        turn = Turn(sources, decision=_heard.get())
        yield turn
        for word in response.response_gen:
            turn = replace(turn, answer=turn.answer + word)
            yield turn
