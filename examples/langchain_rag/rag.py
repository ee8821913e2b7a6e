"""Answers from your documents, by the edge model while it is sure: the part to copy."""

from operator import itemgetter
from pathlib import Path
from typing import Any

from langchain_chroma import Chroma
from langchain_community.document_loaders import BSHTMLLoader, PyPDFLoader, TextLoader
from langchain_core.document_loaders import BaseLoader
from langchain_core.embeddings import Embeddings
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableBranch, RunnablePassthrough
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_confroute import ChatConfRoute

RELEVANT = 0.3  # the cosine from which a passage is taken to be about the question
SYSTEM = (
    "You answer questions of the staff, briefly. Use the numbered passages where they help, and cite them "
    "like [1]. If you do not know the answer, say: I don't know.\n\n{passages}"
)
PROMPT = ChatPromptTemplate([("system", SYSTEM), ("human", "{question}")])


def loader(path: Path) -> BaseLoader:
    """Choose LangChain's loader for a document."""
    if path.suffix == ".pdf":
        return PyPDFLoader(path)
    if path.suffix == ".html":
        return BSHTMLLoader(path, open_encoding="utf-8")
    return TextLoader(path, encoding="utf-8")


def store(folder: Path, embeddings: Embeddings, *, name: str, kept_in: Path) -> Chroma:
    """Open the vector store of a folder, and fill it the first time."""
    cosine: Any = {"hnsw": {"space": "cosine"}}
    opened = Chroma(name, embeddings, str(kept_in), collection_configuration=cosine)
    if not opened.get(limit=1)["ids"]:
        paths = [
            path for path in sorted(folder.rglob("*")) if path.suffix in (".md", ".txt", ".html", ".pdf")
        ]
        splitter = RecursiveCharacterTextSplitter(chunk_size=400, chunk_overlap=50)
        opened.add_documents(splitter.split_documents(d for path in paths for d in loader(path).load()))
    return opened


def chain(opened: Chroma, llm: ChatConfRoute) -> Runnable[Any, Any]:
    """Retrieve, then answer; where nothing was retrieved, the documents cannot help the edge."""
    search = {"k": 3, "score_threshold": RELEVANT}
    retriever = opened.as_retriever(search_type="similarity_score_threshold", search_kwargs=search)
    cloud = llm.with_config(configurable={"confroute_route": "cloud", "confroute_reason": "nothing found"})
    answer = RunnableBranch((lambda found: not found["found"], PROMPT | cloud), PROMPT | llm)
    found = RunnablePassthrough.assign(found=itemgetter("question") | retriever)
    return found.assign(passages=numbered).assign(answer=answer)


def numbered(found: dict[str, Any]) -> str:
    """Write the passages as the prompt has them."""
    return "\n\n".join(f"[{i}] {document.page_content}" for i, document in enumerate(found["found"], 1))
