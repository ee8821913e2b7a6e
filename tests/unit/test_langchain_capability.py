"""What both models can do: their profiles, images and other media, context windows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from confroute import EntropyRouter
from confroute.errors import ConfigurationError
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute
from tests.langchain_doubles import ScriptedChat
from tests.unit.test_langchain_chat import decision_of, pair


def test_the_profile_is_what_both_can_do() -> None:
    llm = pair()
    assert llm.profile is None
    edge = ScriptedChat(
        model="e", profile={"max_input_tokens": 8, "image_inputs": False, "tool_calling": True}
    )
    cloud = ScriptedChat(
        model="c", profile={"max_input_tokens": 99, "image_inputs": True, "tool_calling": True}
    )
    llm = ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter("edge"))
    assert llm.profile == {"max_input_tokens": 8, "image_inputs": False, "tool_calling": True}


def picture(text: str, block: dict[str, Any]) -> list[Any]:
    return [HumanMessage([{"type": "text", "text": text}, block])]


BLOCKS: list[dict[str, Any]] = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "generate"])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_model_that_cannot_see_never_gets_an_image(way: str, block: dict[str, Any]) -> None:
    llm = pair(EntropyRouter())
    llm.edge.profile, llm.cloud.profile = {"image_inputs": False}, {"image_inputs": True}  # type: ignore[attr-defined]  # chat models
    llm = llm.model_copy(update={"executions": type(llm.executions)()})
    asked: Any = picture("What is this?", block)
    if way == "generate":
        reply: Any = llm.generate([asked]).generations[0][0].message  # type: ignore[union-attr]  # chats
    elif way == "stream":
        reply = next(iter(llm.stream(asked)))
    else:
        reply = llm.invoke(asked) if way == "invoke" else asyncio.run(llm.ainvoke(asked))
    assert (decision_of(reply).route, decision_of(reply).method) == ("cloud", "capability")
    assert llm.edge.seen == []  # type: ignore[attr-defined]  # not even to be sampled


def sighted(edge: bool | None, cloud: bool | None, router: Any) -> ChatConfRoute:
    profiles: list[Any] = [None if sees is None else {"image_inputs": sees} for sees in (edge, cloud)]
    models = [ScriptedChat(model=f"m{i}", profile=profile) for i, profile in enumerate(profiles)]
    return ChatConfRoute(edge=models[0], cloud=models[1], router=router)


@pytest.mark.parametrize(("edge", "cloud"), [(True, True), (None, None), (None, True)])
def test_where_capability_does_not_tell_confidence_does(edge: Any, cloud: Any) -> None:
    router = ScriptedRouter("edge")
    reply = sighted(edge, cloud, router).invoke(picture("What is this?", BLOCKS[0]))
    assert decision_of(reply).method == "trained"
    assert router.requests[0].has_images
    assert router.requests[0].query == "What is this?"


def test_an_image_that_neither_model_can_see_is_an_error() -> None:
    llm = sighted(False, False, ScriptedRouter("edge"))
    with pytest.raises(ConfigurationError, match="m0 cannot see images, and m1 cannot see images"):
        llm.invoke(picture("What is this?", BLOCKS[0]))
    assert llm.edge.seen == llm.cloud.seen == []  # type: ignore[attr-defined]  # the doubles' records


@pytest.mark.parametrize(
    ("block", "ability"),
    [
        ({"type": "audio", "base64": "AA==", "mime_type": "audio/wav"}, "audio_inputs"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "audio_inputs"),
        ({"type": "file", "base64": "AA==", "mime_type": "application/pdf"}, "pdf_inputs"),
        ({"type": "video", "base64": "AA==", "mime_type": "video/mp4"}, "video_inputs"),
    ],
)
def test_sound_films_and_files_go_by_capability(block: Any, ability: str) -> None:
    profiles: list[Any] = [{ability: False}, {ability: True}]
    models = [ScriptedChat(model=f"m{i}", profile=profile) for i, profile in enumerate(profiles)]
    llm = ChatConfRoute(edge=models[0], cloud=models[1], router=ScriptedRouter("edge"))
    decision = decision_of(llm.invoke(picture("What is this?", block)))
    assert (decision.route, decision.method) == ("cloud", "capability")


def test_a_private_image_that_the_edge_cannot_see_is_an_error() -> None:
    llm = sighted(False, True, ScriptedRouter("edge"))
    config: Any = {"configurable": {"confroute_private": True}}
    with pytest.raises(ConfigurationError, match="stays on the edge, but m0 cannot see images"):
        llm.invoke(picture("What is this?", BLOCKS[0]), config)
    assert llm.cloud.seen == []  # type: ignore[attr-defined]  # the double's record


def test_a_prompt_that_the_edge_cannot_hold_goes_to_the_cloud() -> None:
    edge = ScriptedChat(model="e", profile={"max_input_tokens": 50})
    llm = ChatConfRoute(edge=edge, cloud=ScriptedChat(model="c"), router=EntropyRouter())
    decision = decision_of(llm.invoke("word " * 100))
    assert (decision.route, decision.method) == ("cloud", "capability")
    assert "exceeds the 50" in decision.reason
    assert edge.seen == []
