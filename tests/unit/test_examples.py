"""The parts of the examples that users copy, over scripted models; what the page draws; what is recorded."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import confroute
from confroute import ConfidenceRouter
from confroute.decision import RouteDecision, Sample
from confroute.errors import ConfigurationError, ModelError
from confroute.execution.accounts import Stats
from confroute.routers.confidence import ConfidenceEvidence
from examples.options import CORPUS, Options, options
from examples.page import render
from examples.page.turn import About, Source, Turn
from examples.standin import recorded

ROOT = Path(__file__).parents[2]
SHOP = "When does the shop close on Saturdays?"
TUNGSTEN = "Name the boiling point of tungsten"
LONGEST = 60  # lines of what a user pastes


def words_embedded(text: str) -> list[float]:
    """Embed a text by its words, so that texts that share words are near."""
    vector = np.zeros(256)
    for word in text.lower().replace("?", "").replace(".", "").split():
        vector[zlib.crc32(word.rstrip("s").encode()) % 256] += 1.0
    length = float(np.linalg.norm(vector))
    return [float(value) for value in vector / (length or 1.0)]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "shop.md").write_text("The shop does close at 13:00 on Saturdays.", encoding="utf-8")
    (folder / "page.html").write_text("<title>t</title><p>Bikes stand outside.</p>", encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", ["langchain_rag/rag", "llamaindex_rag/rag", "langgraph_agent/agent"])
def test_what_is_pasted_is_short(path: str) -> None:
    assert len((ROOT / "examples" / f"{path}.py").read_text(encoding="utf-8").splitlines()) < LONGEST


class TestLangChain:
    @pytest.fixture
    def store(self, documents: Path, tmp_path: Path) -> Any:
        for module in ("langchain_chroma", "langchain_community", "lxml", "pypdf"):
            pytest.importorskip(module, reason="needs the dependency group 'examples'")
        from langchain_core.embeddings import Embeddings

        from examples.langchain_rag import rag

        class Words(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [words_embedded(text) for text in texts]

            def embed_query(self, text: str) -> list[float]:
                return words_embedded(text)

        return rag.store(documents, Words(), name="documents", kept_in=tmp_path / "kept")

    def llm(self, **edge: Any) -> Any:
        from langchain_confroute import ChatConfRoute
        from tests.langchain_doubles import ScriptedChat

        return ChatConfRoute(
            edge=ScriptedChat(model="small", **edge),
            cloud=ScriptedChat(model="large", answers=["from the cloud"]),
            router=ConfidenceRouter(probe="brief"),
        )

    def test_a_question_that_the_passages_answer_stays(self, store: Any) -> None:
        from examples.langchain_rag import rag

        llm = self.llm(answers=["13:00"])
        told = rag.chain(store, llm).invoke({"question": SHOP})
        assert told["answer"].response_metadata["confroute"]["route"] == "edge"
        assert [Path(document.metadata["source"]).name for document in told["found"]] == ["shop.md"]
        assert all("[1] The shop does close at 13:00" in str(asked[0].text) for asked in llm.edge.seen)

    def test_an_edge_that_is_unsure_asks_the_cloud(self, store: Any) -> None:
        from examples.langchain_rag import rag

        told = rag.chain(store, self.llm(answers=["13:00", "noon", "never"])).invoke({"question": SHOP})
        assert told["answer"].text == "from the cloud"

    def test_nothing_found_goes_to_the_cloud_without_a_sample(self, store: Any) -> None:
        from examples.langchain_rag import rag

        llm = self.llm(answers=["3"])
        decision = (
            rag.chain(store, llm).invoke({"question": TUNGSTEN})["answer"].response_metadata["confroute"]
        )
        assert (decision["route"], decision["method"], decision["n_samples"]) == ("cloud", "forced", 0)
        assert "nothing found" in decision["reason"]
        assert not llm.edge.seen

    def test_private_stays_whatever_is_found(self, store: Any) -> None:
        from examples.langchain_rag import rag

        llm = self.llm(answers=["13:00"])
        with confroute.control(private=True):
            for question in (SHOP, TUNGSTEN):
                rag.chain(store, llm).invoke({"question": question})
        assert not llm.cloud.seen

    def test_the_store_is_filled_once(self, store: Any, documents: Path, tmp_path: Path) -> None:
        from examples.langchain_rag import rag

        again = rag.store(documents, store.embeddings, name="documents", kept_in=tmp_path / "kept")
        assert len(again.get()["ids"]) == len(store.get()["ids"]) == 2

    def test_the_agents_route_sticks_through_its_tool_loop(self, store: Any) -> None:
        pytest.importorskip("langchain")
        from langchain_core.messages import AIMessage

        from examples.langgraph_agent.agent import agent
        from langchain_confroute import ConfRouteMiddleware
        from tests.langchain_doubles import ScriptedChat

        call = {"name": "search_documents", "args": {"query": "shop"}, "id": "1", "type": "tool_call"}
        edge = ScriptedChat(model="small", answers=["a", "b", "c"])
        cloud = ScriptedChat(model="large", answers=[AIMessage("", tool_calls=[call]), "at 13:00"])
        routing = ConfRouteMiddleware(edge=edge, cloud=cloud, router=ConfidenceRouter())
        config: Any = {"configurable": {"thread_id": "1"}}
        messages = agent(routing, store).invoke({"messages": [("user", SHOP)]}, config)["messages"]
        assert "The shop does close" in messages[2].text
        decisions = [m.response_metadata["confroute"] for m in messages if m.type == "ai"]
        assert [decision["route"] for decision in decisions] == ["cloud", "cloud"]
        assert len(edge.seen) == decisions[0]["n_samples"] > 1, "the second step was decided anew"


class TestLlamaIndex:
    @pytest.fixture
    def index(self, documents: Path, tmp_path: Path) -> Any:
        for module in ("llama_index.vector_stores.chroma", "llama_index.readers.file"):
            pytest.importorskip(module, reason="needs the dependency group 'examples'")
        from llama_index.core.base.embeddings.base import BaseEmbedding

        from examples.llamaindex_rag import rag

        class Words(BaseEmbedding):
            def _get_query_embedding(self, query: str) -> list[float]:
                return words_embedded(query)

            def _get_text_embedding(self, text: str) -> list[float]:
                return words_embedded(text)

            async def _aget_query_embedding(self, query: str) -> list[float]:
                return words_embedded(query)

        return rag.index(documents, Words(), name="documents", kept_in=tmp_path / "kept")

    def engine(self, index: Any, answers: list[str]) -> Any:
        from examples.llamaindex_rag.rag import RoutedQueryEngine
        from llamaindex_confroute import ConfRouteLLM
        from tests.llamaindex_doubles import ScriptedLLM

        llm = ConfRouteLLM(
            edge=ScriptedLLM(model="small", answers=answers),
            cloud=ScriptedLLM(model="large", answers=["from the cloud"]),
            router=ConfidenceRouter(probe="brief"),
        )
        return RoutedQueryEngine(retriever=index.as_retriever(similarity_top_k=3), llm=llm)

    @pytest.mark.parametrize(
        ("question", "answers", "said", "method"),
        [
            (SHOP, ["13:00"], "13:00", "confidence"),
            (SHOP, ["13:00", "noon", "never"], "from the cloud", "confidence"),
            (TUNGSTEN, ["3"], "from the cloud", "forced"),
        ],
    )
    def test_who_answers(self, index: Any, question: str, answers: list[str], said: str, method: str) -> None:
        engine = self.engine(index, answers)
        response = engine.query(question)
        assert response.metadata["confroute"]["method"] == method
        assert "".join(response.response_gen) == said
        assert [node.metadata["file_name"] for node in response.source_nodes] == (
            ["shop.md"] if question == SHOP else []
        )

    def test_private_stays_whatever_is_found(self, index: Any) -> None:
        engine = self.engine(index, ["13:00"])
        with confroute.control(private=True):
            for question in (SHOP, TUNGSTEN):
                assert "".join(engine.query(question).response_gen) == "13:00"
        assert not engine.llm.cloud.seen

    def test_the_router_engine_chooses_and_says_why(self, index: Any) -> None:
        from examples.llamaindex_router.router import engine
        from tests.llamaindex_doubles import ScriptedLLM

        def asked(answers: list[str]) -> Any:
            edge = ScriptedLLM(model="small", answers=answers)
            cloud = ScriptedLLM(model="large", answers=["from the cloud"])
            router = ConfidenceRouter(probe="brief")
            return engine(index, edge=edge, cloud=cloud, router=router).query(SHOP)

        sure, unsure = asked(["13:00"]), asked(["13:00", "noon", "never"])
        assert (str(sure), str(unsure)) == ("13:00", "from the cloud")
        assert "the edge is unsure → cloud" in unsure.metadata["selector_result"].reason


def look(**told: Any) -> dict[str, Any]:
    """Return what the router saw, as plain data."""
    answer = Sample(told.pop("answer", "Paris"))
    others = tuple(Sample(text) for text in told.pop("others", ()))
    told = {"probability": None, "n_further": 4, "agreement": (), **told}
    return ConfidenceEvidence(answer=answer, others=others, **told).to_dict()


class TestPage:
    DECISION = RouteDecision(
        route="cloud", score=0.9, threshold=0.5, method="confidence", reason="<b>unsure</b>", private=True
    ).to_dict()

    def test_what_models_and_documents_say_is_escaped(self) -> None:
        evil = "<script>alert(1)</script>"
        evidence = look(answer=evil, others=[evil, "other"], agreement=[0.9, 0.1], problem=evil)
        turn = Turn([Source(evil, evil)], {**self.DECISION, "evidence": evidence}, evil)
        drawn = render.verdict(turn) + render.look(turn) + render.sources(turn)
        drawn += render.heading(About(evil, evil, evil, [evil])) + render.failure(ValueError(evil))
        assert "<script" not in drawn
        assert "<b>unsure" not in drawn

    @pytest.mark.parametrize(
        ("told", "drawn"),
        [
            ({"probability": 0.975}, ["probability 0.97", "Nothing more was drawn, since that settled it."]),
            (
                {"others": ["a", "b", "c"], "agreement": [0.9, 0.2, 0.5]},
                ["✓ agrees</b><span>a<", "✗ differs</b><span>b<", "✓ agrees</b><span>c<", "1 more would not"],
            ),
            ({"problem": "declines to answer"}, ["It cannot be used: it declines to answer."]),
            ({"answer": " "}, ["(nothing)"]),
        ],
    )
    def test_the_look_and_what_agrees_with_it(self, told: dict[str, Any], drawn: list[str]) -> None:
        panel = render.look(Turn(None, {**self.DECISION, "evidence": look(**told)}))
        for text in drawn:
            assert text in panel

    @pytest.mark.parametrize(
        ("route", "settled_early", "told"),
        [
            ("edge", True, "uncertainty at most 0.90,"),
            ("cloud", True, "uncertainty at least 0.90,"),
            ("cloud", False, "uncertainty 0.90,"),
        ],
    )
    def test_a_bound_is_said_as_such(self, route: str, settled_early: bool, told: str) -> None:
        decision = {**self.DECISION, "route": route, "settled_early": settled_early}
        assert told in render.verdict(Turn(None, decision))

    def test_a_fallback_and_a_pin_are_said(self) -> None:
        decision = {**self.DECISION, "route": "edge", "fallback_from": "cloud", "fallback_cause": "no <net>"}
        drawn = render.verdict(Turn(None, decision))
        assert "The cloud did not answer, so the edge did: no &lt;net&gt;" in drawn
        assert 'class="badge private"' in drawn

    def test_what_is_not_known_yet(self) -> None:
        assert render.verdict(Turn()) == render.WAITING
        assert render.sources(Turn()) == render.look(Turn()) == ""
        assert "not looked at" in render.look(Turn(None, {**self.DECISION, "evidence": None}))
        assert "No passage" in render.sources(Turn([]))

    def test_unknown_money_is_unknown(self) -> None:
        assert "unknown" in render.tally(Stats(calls=1, usd=None, usd_saved=None))
        assert "$0.002500" in render.tally(Stats(calls=1, usd=0.0025, usd_saved=0.0))


class TestStandIn:
    def test_every_question_of_the_corpus_is_recorded(self) -> None:
        rows = map(json.loads, (CORPUS.parent / "questions.jsonl").open(encoding="utf-8"))
        assert {row["question"] for row in rows} == set(recorded.recording().answers)

    def test_a_prompt_is_known_by_the_question_in_it(self) -> None:
        question, answer = next(iter(recorded.recording().answers.items()))
        assert recorded.recall(f"Context: ...\nQuery: {question}\nAnswer: ") == answer

    def test_other_questions_name_the_way_out(self) -> None:
        with pytest.raises(ModelError, match="--cloud"):
            recorded.recall("Who are you?")
        with pytest.raises(ModelError, match="--cloud"):
            recorded.recall_step("Who are you?", 0)

    def test_it_is_labelled_and_priced(self) -> None:
        from confroute.prices import token_prices

        assert recorded.name().endswith("(recorded)")
        assert "No cloud is asked" in " ".join(Options().notes())
        assert token_prices(recorded.name(), "recorded") == token_prices(recorded.PRICED_AS, "openai")


class TestOptions:
    def test_flags(self, documents: Path) -> None:
        import click

        seen: list[Options] = []

        @click.command()
        @options
        def command(chosen: Options) -> None:
            seen.append(chosen)

        flags = ["--documents", str(documents), "--edge", "ollama:qwen2.5:1.5b", "--threshold", "0.3"]
        assert CliRunner().invoke(command, flags).exit_code == 0
        (chosen,) = seen
        assert (chosen.edge, chosen.threshold, chosen.router.threshold) == ("ollama:qwen2.5:1.5b", 0.3, 0.3)
        assert chosen.questions() == []

    def test_the_routers_own_threshold_holds_unless_one_is_given(self) -> None:
        assert Options().router.threshold == ConfidenceRouter().threshold
        assert Options(threshold=0.0).router.threshold == 0

    def test_a_stores_name_follows_the_documents(self, documents: Path) -> None:
        before = Options(documents).store_name
        (documents / "new.txt").write_text("more", encoding="utf-8")
        assert Options(documents).store_name != before

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="holds no file"):
            _ = Options(tmp_path).store_name

    def test_questions_of_each_kind_to_begin_with(self) -> None:
        assert len(Options().questions()) == 4
