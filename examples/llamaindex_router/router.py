"""An edge and a cloud query engine over one index, chosen between by confidence: the part to copy."""

from llama_index.core import VectorStoreIndex
from llama_index.core.llms import LLM
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import QueryEngineTool

from confroute.decision import Router
from llamaindex_confroute import ConfRouteSelector


def engine(index: VectorStoreIndex, *, edge: LLM, cloud: LLM, router: Router) -> RouterQueryEngine:
    """Make the engine. It decides by the question alone, before anything is retrieved."""
    tools = [
        QueryEngineTool.from_defaults(
            index.as_query_engine(llm=llm, similarity_top_k=3),
            name=name,
            description=f"answers on the {name}",
        )
        for name, llm in (("edge", edge), ("cloud", cloud))
    ]
    return RouterQueryEngine.from_defaults(
        tools,
        llm=edge,  # else LlamaIndex asks for its default, which is OpenAI's
        selector=ConfRouteSelector(router=router, edge=edge),
    )
