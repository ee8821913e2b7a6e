"""Answers from your documents, by the edge model while it is sure: the part to copy."""

import math
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

from chromadb import PersistentClient
from llama_index.core import ChatPromptTemplate, SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.readers.base import BaseReader
from llama_index.core.retrievers import BaseRetriever
from llama_index.readers.file import HTMLTagReader
from llama_index.vector_stores.chroma import ChromaVectorStore

import confroute
from llamaindex_confroute import ConfRouteLLM

RELEVANT = 0.3  # the cosine from which a passage is taken to be about the question
SYSTEM = (
    "You answer questions of the staff, briefly. Use the numbered passages where they help, and cite them "
    "like [1]. If you do not know the answer, say: I don't know.\n\n{passages}"
)
PROMPT = ChatPromptTemplate.from_messages([("system", SYSTEM), ("user", "{question}")])


def index(folder: Path, embeddings: BaseEmbedding, *, name: str, kept_in: Path) -> VectorStoreIndex:
    """Open the index of a folder, and fill it the first time."""
    client = PersistentClient(str(kept_in))
    collection = client.get_or_create_collection(name, configuration={"hnsw": {"space": "cosine"}})
    opened = VectorStoreIndex.from_vector_store(ChromaVectorStore(collection), embeddings)
    if not collection.count():
        html: dict[str, BaseReader] = {".html": HTMLTagReader(tag="body")}
        documents = SimpleDirectoryReader(folder, recursive=True, file_extractor=html).load_data()
        opened.insert_nodes(SentenceSplitter(chunk_size=100, chunk_overlap=10)(documents))
    return opened


class RoutedQueryEngine(CustomQueryEngine):
    """Retrieves, then answers; where nothing was retrieved, the documents cannot help the edge."""

    retriever: BaseRetriever
    llm: ConfRouteLLM

    def custom_query(self, query_str: str) -> StreamingResponse:
        """Answer, chunk by chunk; ``metadata["confroute"]`` says who and why."""
        relevant = SimilarityPostprocessor(similarity_cutoff=math.exp(RELEVANT - 1))  # Chroma's score
        found = relevant.postprocess_nodes(self.retriever.retrieve(query_str))
        passages = "\n\n".join(f"[{i}] {node.text}" for i, node in enumerate(found, 1))
        messages = PROMPT.format_messages(passages=passages, question=query_str)
        with nullcontext() if found else confroute.control(route="cloud", reason="nothing found"):
            chunks = self.llm.stream_chat(messages)
        first = next(chunks)
        words = (chunk.delta or "" for chunk in chain([first], chunks))
        return StreamingResponse(words, found, {"confroute": first.additional_kwargs["confroute"]})
