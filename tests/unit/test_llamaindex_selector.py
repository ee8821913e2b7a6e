"""`ConfRouteSelector` in a `RouterQueryEngine` over one index."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from llama_index.core import Document, SummaryIndex, VectorStoreIndex
from llama_index.core.base.base_selector import SelectorResult
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import QueryEngineTool, ToolMetadata

import confroute
from confroute import EntropyRouter
from confroute.errors import ConfigurationError
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteSelector
from tests.llamaindex_doubles import ScriptedLLM
from tests.openai_server import OpenAIServer

DOCUMENTS = [
    "The boiler in the east wing was installed in 2009. It is due for service every May.",
    "Pump P-12 feeds the cooling loop. Its bearing is replaced after 8,000 hours of running.",
    "The night shift starts at 22:00. Its foreman holds the key of the chemical store.",
]
EASY, HARD = "When is the boiler due for service?", "Who may enter the chemical store at night?"
CHOICES = [ToolMetadata("large model", name="the_cloud"), ToolMetadata("small model", name="the_edge")]


def small() -> ScriptedLLM:
    """Sure of the boiler, unsure of everything else; answers from the context it is given."""
    return ScriptedLLM(model="edge-model", answers=[answer_as_the_edge])


def answer_as_the_edge(asked: Any) -> str:
    text = asked if isinstance(asked, str) else asked[-1].content
    if "Context" in text:
        return "In May." if "every May" in text else "No idea."
    answer_as_the_edge.guesses = getattr(answer_as_the_edge, "guesses", 0) + 1  # type: ignore[attr-defined]  # a counter
    return "May" if "boiler" in text else f"guess {answer_as_the_edge.guesses}"  # type: ignore[attr-defined]  # the same


def large() -> ScriptedLLM:
    return ScriptedLLM(model="cloud-model", answers=["The foreman, who holds the key."])


def engine(router: Any, edge: ScriptedLLM, cloud: ScriptedLLM) -> RouterQueryEngine:
    index = SummaryIndex.from_documents([Document(text=text) for text in DOCUMENTS])
    tools = [
        QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), name=name, description=name)
        for name, llm in {"cloud": cloud, "edge": edge}.items()
    ]
    selector = ConfRouteSelector(router=router, edge=edge)
    return RouterQueryEngine.from_defaults(tools, selector=selector, llm=cloud)


async def test_both_engines_take_part_and_say_why() -> None:
    edge, cloud = small(), large()
    queries = engine(EntropyRouter(n_samples=3, probe="brief"), edge, cloud)
    for easy, hard in (
        (queries.query(EASY), queries.query(HARD)),
        (await queries.aquery(EASY), await queries.aquery(HARD)),
    ):
        assert str(easy) == "In May."
        assert str(hard) == "The foreman, who holds the key."
        chosen = easy.metadata["selector_result"], hard.metadata["selector_result"]  # type: ignore[index]  # set by the engine
        assert [result.decision.route for result in chosen] == ["edge", "cloud"]
        assert [result.ind for result in chosen] == [1, 0]
        assert (
            chosen[0].reason
            == "3 edge answers with one meaning: uncertainty 0.00 < 0.50, the edge is sure → edge"
        )
        assert chosen[1].reason.endswith("uncertainty 1.00 >= 0.50, the edge is unsure → cloud")
        assert all(isinstance(result, SelectorResult) for result in chosen)
        assert chosen[1].model_dump(mode="json")["decision"]["n_samples"] == 3
    stats = queries._selector.stats  # type: ignore[attr-defined]  # ours
    assert (stats.calls, stats.cloud_calls, stats.samples) == (4, 2, 12)


CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
FILES = [
    "about_alderbrook.md",
    "brine_bath.txt",
    "cellars.md",
    "delivery_round.md",
    "first_aid.txt",
    "vats.md",
]
ROUTES = {
    "When is the brine boiled?": "edge",
    "Who sharpens the knives of the vats?": "cloud",
    "How much salt is in the brine bath?": "edge",
    "What is the name of the robot in cellar 2?": "cloud",
    "Who founded Alderbrook Dairy?": "cloud",
}


def words_of(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if len(word) > 3]


class WordCounts(BaseEmbedding):
    """Stands in for an embedding model: texts are alike that share words."""

    def _get_text_embedding(self, text: str) -> list[float]:
        counts = [0.0] * 1_024
        for word in words_of(text):
            counts[crc32(word.encode()) % len(counts)] += 1.0
        return counts

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def read(body: dict[str, Any], i: int) -> str:
    """Answer from the documents; without them, surely where the edge shall answer and unsurely elsewhere."""
    asked = body["messages"][-1]["content"]
    if "Context information" not in asked:
        is_sure = any(question in asked and route == "edge" for question, route in ROUTES.items())
        return "certainly" if is_sure else f"guess {i}"
    _, context, task = re.split(r"-{9,}", asked)
    sought = set(words_of(task.partition("Query:")[2]))
    return max(re.split(r"(?<=\.)\s", context), key=lambda sentence: len(sought & set(words_of(sentence))))


async def test_two_engines_over_one_index_of_real_documents() -> None:
    pytest.importorskip("llama_index.llms.openai_like", reason="needs llama-index-llms-openai-like")
    from tests.llamaindex_pairs import model

    rows = [json.loads(line) for line in (CORPUS / "questions.jsonl").read_text("utf-8").splitlines()]
    told = {row["question"]: row for row in rows if row["question"] in ROUTES}
    texts = {name: (CORPUS / "documents" / name).read_text("utf-8") for name in FILES}
    documents = [Document(text=text, metadata={"file": name}) for name, text in texts.items()]
    index = VectorStoreIndex.from_documents(documents, embed_model=WordCounts())
    with OpenAIServer(read) as edge, OpenAIServer(read) as cloud:
        servers = {"edge": edge, "cloud": cloud}
        llms = {side: model(f"{side}-model", server.url) for side, server in servers.items()}
        tools = [
            QueryEngineTool.from_defaults(index.as_query_engine(llm=llm, similarity_top_k=2), name=side)
            for side, llm in llms.items()
        ]
        selector = ConfRouteSelector(router=EntropyRouter(n_samples=3, probe="brief"), edge=llms["edge"])
        queries = RouterQueryEngine(selector, tools, llms["cloud"])
        for question, route in ROUTES.items():
            for response in (queries.query(question), await queries.aquery(question)):
                assert any(answer in str(response) for answer in told[question]["answers"]), str(response)
                sources = [node.metadata["file"] for node in response.source_nodes]
                assert set(told[question]["sources"]) <= set(sources)
                chosen = (response.metadata or {})["selector_result"]
                assert (chosen.decision.route, chosen.decision.method) == (route, "entropy")
                assert tools[chosen.ind].metadata.name == route
                assert chosen.reason == f"{chosen.decision.reason} → {route}"
                assert ("the edge is sure" if route == "edge" else "the edge is unsure") in chosen.reason
    asked = [(body.get("n"), body["messages"][-1]["content"]) for body in edge.requests]
    assert sum(n == 3 and "Context information" not in text for n, text in asked) == 2 * 5
    assert len(asked) - 2 * 5 == 2 * 2
    assert len(cloud.requests) == 2 * 3
    assert (selector.stats.calls, selector.stats.cloud_calls) == (10, 6)


async def test_tools_are_chosen_by_name() -> None:
    for route, position in (("edge", 1), ("cloud", 0)):
        selector = ConfRouteSelector(router=ScriptedRouter(route))  # type: ignore[arg-type]  # one of the two
        assert selector.select(CHOICES, "q").ind == position
        assert (await selector.aselect(CHOICES, "q")).ind == position


@pytest.mark.parametrize(
    "choices",
    [
        ["one", "two"],
        [ToolMetadata("d", name="edge")],
        [ToolMetadata("d", name="edge"), ToolMetadata("d", name="edge_2")],
        [ToolMetadata("d", name="edge"), ToolMetadata("d", name="knowledge")],
        [ToolMetadata("d", name="edge_cloud"), ToolMetadata("d", name="other")],
        [*CHOICES, ToolMetadata("d", name="third")],
    ],
)
async def test_other_choices_are_refused(choices: Any) -> None:
    selector = ConfRouteSelector(router=ScriptedRouter("edge"))
    with pytest.raises(ConfigurationError, match="expected two tools, one with 'edge' and one with 'cloud'"):
        selector.select(choices, "q")
    with pytest.raises(ConfigurationError, match="cannot choose between"):
        await selector.aselect(choices, "q")


async def test_a_router_that_samples_needs_the_edge() -> None:
    selector = ConfRouteSelector.from_defaults()
    with pytest.raises(ConfigurationError, match="got no sampler"):
        selector.select(CHOICES, "q")
    with pytest.raises(ConfigurationError, match="give the face its edge model"):
        await selector.aselect(CHOICES, "q")


def test_control_and_failing_routers() -> None:
    selector = ConfRouteSelector(router=ScriptedRouter("cloud"))
    with confroute.control(private=True):
        assert (
            selector.select(CHOICES, "q").reason == "the request is private, so it stays on the edge → edge"
        )
    failing = ScriptedRouter("edge", error=RuntimeError("no samples"))
    assert ConfRouteSelector(router=failing).select(CHOICES, "q").ind == 0
    assert ConfRouteSelector(router=failing, on_error="edge").select(CHOICES, "q").ind == 1
    with pytest.raises(RuntimeError, match="no samples"):
        ConfRouteSelector(router=failing, on_error="raise").select(CHOICES, "q")


def test_a_selector_has_no_prompts() -> None:
    selector = ConfRouteSelector(router=ScriptedRouter("edge"))
    assert selector.get_prompts() == {}
    selector.update_prompts({})
