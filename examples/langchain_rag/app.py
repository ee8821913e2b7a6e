"""The app behind the page: the chain, and what it tells on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_chroma import Chroma
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_huggingface import HuggingFaceEmbeddings

from confroute.decision import Router
from confroute.execution.accounts import Stats
from examples.langchain_rag import rag
from examples.options import CLOUD_MAX_TOKENS, MAX_TOKENS, STORE, Options, minilm
from examples.page.turn import About, Source, Turn
from examples.standin.langchain import RecordedChat
from langchain_confroute import ChatConfRoute
from langchain_confroute.models import chat_model


class Heard(BaseCallbackHandler):
    """Hears the decision, with what the edge said, as any application can: from its custom event."""

    def __init__(self) -> None:
        self.decision: dict[str, Any] | None = None

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Keep the decision."""
        if name == "confroute.decision":
            self.decision = data


def models(options: Options) -> tuple[BaseChatModel, BaseChatModel]:
    """Return the edge and the cloud that a user chose."""
    cloud = (
        RecordedChat() if options.cloud is None else chat_model(options.cloud, max_tokens=CLOUD_MAX_TOKENS)
    )
    return chat_model(options.edge, max_tokens=MAX_TOKENS), cloud


def opened(options: Options) -> Chroma:
    """Open the store of the documents that a user chose."""
    embeddings = HuggingFaceEmbeddings(model_name=minilm(), encode_kwargs={"normalize_embeddings": True})
    return rag.store(options.documents, embeddings, name=options.store_name, kept_in=STORE / "langchain")


class LangChainApp:
    """Answers questions about a folder of documents.

    Args:
        options: What the user chose.
        router: Who answers; by default the router of the options.
    """

    def __init__(self, options: Options, *, router: Router | None = None) -> None:
        edge, cloud = models(options)
        self.llm = ChatConfRoute(edge=edge, cloud=cloud, router=router or options.router)
        self.chain = rag.chain(opened(options), self.llm)
        self.about = About(
            "LangChain", options.edge, options.cloud_name, options.notes(), options.questions()
        )

    @property
    def stats(self) -> Stats:
        """What the routed model has done so far."""
        return self.llm.stats

    def ask(self, question: str, *, threshold: float | None, private: bool) -> Iterator[Turn]:
        """Answer, chunk by chunk."""
        turn, heard = Turn(), Heard()
        ruled = {"confroute_threshold": threshold, "confroute_private": private}
        config: Any = {"callbacks": [heard], "configurable": ruled}
        for chunk in self.chain.stream({"question": question}, config):
            if "found" in chunk:
                turn = replace(turn, sources=[_source(document) for document in chunk["found"]])
            if "answer" in chunk:
                turn = replace(turn, decision=heard.decision, answer=turn.answer + chunk["answer"].text)
            yield turn


def _source(document: Any) -> Source:
    return Source(Path(document.metadata["source"]).name, document.page_content)
