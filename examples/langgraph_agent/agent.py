"""An agent that searches your documents, on the edge in the turns that it is sure about: the part to copy."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import VectorStore
from langgraph.checkpoint.memory import InMemorySaver

from langchain_confroute import ConfRouteMiddleware

SYSTEM = (
    "You help the staff of a dairy. Call search_documents once for a question about the dairy; when its "
    "passages are there, tell the answer that they hold, in one sentence."
)


def search_tool(store: VectorStore) -> BaseTool:
    """Make the tool: passages about a query."""

    @tool
    def search_documents(query: str) -> str:
        """Find passages in the documents of the dairy."""
        found = store.similarity_search(query, k=3)
        return "\n\n".join(document.page_content for document in found) or "nothing found"

    return search_documents


def agent(routing: ConfRouteMiddleware, store: VectorStore) -> Any:
    """Make the agent: one decision per user turn, kept through its tool loop."""
    return create_agent(
        routing.models["cloud"],
        tools=[search_tool(store)],
        system_prompt=SYSTEM,
        middleware=[routing],
        checkpointer=InMemorySaver(),
    )
