"""Privacy, control and logs of `ConfRouteLLM`, against real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from llama_index.core.llms import ChatMessage

import confroute
from confroute import EntropyRouter, RouteDecision
from confroute.execution.log import DecisionLog
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_pairs import AS_JSON, FAULTS, STREAMS, STRUCTURED, Pair, cities, replied, said, served
from tests.llamaindex_paths import ALL_PATHS, HI, PATHS, text_of


@pytest.fixture
def pair() -> Iterator[Pair]:
    with served() as servers:
        yield servers


@ALL_PATHS
async def test_a_threshold_and_a_route_per_call(pair: Pair, path: str) -> None:
    llm = pair.llm(EntropyRouter(n_samples=2, probe="brief"))
    assert (await replied(llm, path))[1].route == "edge"
    with confroute.control(threshold=0.0):
        decision = (await replied(llm, path))[1]
    assert (decision.route, decision.threshold) == ("cloud", 0.0)
    with confroute.control(route="cloud"):
        assert (await replied(llm, path))[1].method == "forced"


@ALL_PATHS
async def test_decisions_are_logged_without_the_questions(pair: Pair, path: str, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    await replied(pair.llm(ScriptedRouter("edge"), log=log), path, ChatMessage("a secret word"))
    (line,) = log.path.read_text().splitlines()
    assert json.loads(line)["reply_usage"]["output_tokens"] == 4
    assert "secret" not in line


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_made_within_a_private_block_stays_private(pair: Pair, path: str) -> None:
    llm = pair.llm(ScriptedRouter("cloud"))
    given: dict[str, Any] = {"prompt": "hi"} if "complete" in path else {"messages": HI}
    if "tools" in path:
        given = {"tools": [], "user_msg": "hi"}
    with confroute.control(private=True):
        chunks = getattr(llm, path)(**given)
        chunks = await chunks if path.startswith("a") else chunks
    heard = [chunk async for chunk in chunks] if path.startswith("a") else list(chunks)
    assert (text_of(heard), pair.asked()) == ("the edge says hello", (1, 0))


async def test_a_stamp_of_another_version_is_left_alone(pair: Pair) -> None:
    stamp = {"confroute": {"route": "edge", "new_field": 1}}
    before = ChatMessage("so", role="assistant", additional_kwargs=stamp)
    thread = [ChatMessage("?"), before, ChatMessage("next")]
    text, _ = await replied(pair.llm(ScriptedRouter("cloud")), "achat", *thread)
    assert text == "the cloud says hello"


LOST = "What does my own contract say about notice?"
"""A private question of a thread whose stamps were lost."""

PINNED = RouteDecision(route="edge", method="private", reason="x", private=True)
THREADS: dict[str, list[ChatMessage]] = {
    "control": [],
    "stamp": [
        ChatMessage("before"),
        ChatMessage("so", role="assistant", additional_kwargs={"confroute": PINNED.to_dict()}),
    ],
    "lost": [ChatMessage(LOST), ChatMessage("It is three months.", role="assistant")],
}
"""What goes before a private request, by what makes it one."""


class Private(NamedTuple):
    text: str
    pin: str
    path: str
    router: Any
    force: bool


def private(pins: list[str], paths: list[str]) -> st.SearchStrategy[Private]:
    return st.builds(
        Private,
        text=st.text(min_size=1, max_size=40),
        pin=st.sampled_from(pins),
        path=st.sampled_from(paths),
        router=st.sampled_from([EntropyRouter(n_samples=2), ScriptedRouter("edge"), ScriptedRouter("cloud")]),
        force=st.booleans(),
    )


EVERY_PATH = [*PATHS, *STRUCTURED]
BATCHES = st.lists(
    private(["control"], EVERY_PATH)
    | private(["stamp", "lost"], [path for path in EVERY_PATH if "chat" in path]),
    min_size=20,
    max_size=20,
)
"""Completions and structured predictions take no thread."""


@pytest.mark.parametrize("fault", [None, "400", *FAULTS])
@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(batch=BATCHES)
def test_a_thousand_private_requests_never_reach_the_cloud(batch: list[Private], fault: str | None) -> None:
    with served() as pair:
        for side, server in pair.servers.items():
            server.answer = cities(side)
        pair.fields = AS_JSON
        with confroute.control(private=True):
            pair.llm(ScriptedRouter("edge")).chat([ChatMessage(LOST)])
        if fault is not None:
            pair.break_("edge", fault)
        clients = pair.llm(ScriptedRouter("edge"))

        async def ask(one: Private) -> None:
            llm = ConfRouteLLM(edge=clients.edge, cloud=clients.cloud, router=one.router, **pair.timeouts)
            forced: Any = "cloud" if one.force else None
            with confroute.control(private=one.pin == "control", route=forced):
                try:
                    await said(llm, one.path, *THREADS[one.pin], ChatMessage(one.text))
                except Exception:
                    assert fault is not None

        async def ask_all() -> None:
            calls = [(one.path.startswith("a"), ask(one)) for one in batch]
            here = [call for is_async, call in calls if is_async]
            elsewhere = [asyncio.to_thread(asyncio.run, call) for is_async, call in calls if not is_async]
            await asyncio.gather(*here, *elsewhere)

        asyncio.run(ask_all())
        edge, cloud = pair.asked()
        assert cloud == 0
        assert edge > (len(batch) if fault not in ("refused", "timeout") else 0)
