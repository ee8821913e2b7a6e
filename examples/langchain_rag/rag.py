"""Answers from your documents, by the edge model while it is sure: the part to copy."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from langchain_chroma import Chroma
from langchain_community.document_loaders import BSHTMLLoader, PyPDFLoader, TextLoader
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableBranch, RunnablePassthrough
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_confroute import ChatConfRoute

text, html = partial(TextLoader, encoding="utf-8"), partial(BSHTMLLoader, open_encoding="utf-8")
LOADERS: dict[str, Callable[[Path], BaseLoader]] = {
    ".md": text,
    ".txt": text,
    ".html": html,
    ".pdf": PyPDFLoader,
}
RELEVANT = 0.3  # the cosine from which a passage is taken to be about the question

SYSTEM = (
    "You answer questions of the staff, briefly. Use the numbered passages where they help, and cite them "
    "like [1]. If you do not know the answer, say: I don't know.\n\n{passages}"
)
PROMPT = ChatPromptTemplate([("system", SYSTEM), ("human", "{question}")])


def load(folder: Path) -> list[Document]:
    """Load every document of a folder that there is a loader for."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in LOADERS)
    return [document for path in paths for document in LOADERS[path.suffix](path).load()]


def store(folder: Path, embeddings: Embeddings, *, name: str, kept_in: Path) -> Chroma:
    """Open the vector store of a folder, and fill it the first time."""
    opened = Chroma(
        name,
        embeddings,
        str(kept_in),
        collection_configuration={"hnsw": {"space": "cosine"}},
        relevance_score_fn=lambda distance: max(0.0, 1.0 - distance),  # the cosine
    )
    if not opened.get(limit=1)["ids"]:
        splitter = RecursiveCharacterTextSplitter(chunk_size=400, chunk_overlap=50)
        opened.add_documents(splitter.split_documents(load(folder)))
    return opened


def chain(opened: Chroma, llm: ChatConfRoute) -> Runnable[Any, Any]:
    """Retrieve, then answer; where nothing was retrieved, the documents cannot help the edge."""
    retriever = opened.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"k": 3, "score_threshold": RELEVANT}
    )
    cloud = llm.with_config(configurable={"confroute_route": "cloud", "confroute_reason": "nothing found"})
    answer = RunnableBranch((lambda found: not found["found"], PROMPT | cloud), PROMPT | llm)
    found = RunnablePassthrough.assign(found=itemgetter("question") | retriever)
    return found.assign(passages=lambda found: numbered(found["found"])).assign(answer=answer)


def numbered(found: list[Document]) -> str:
    """Write passages as the prompt has them."""
    return "\n\n".join(f"[{i}] {document.page_content}" for i, document in enumerate(found, 1))
