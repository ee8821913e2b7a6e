"""Record the replies that stand in for a cloud model in the example apps.

Usage: python -m scripts.record_example_cloud MODEL NAME

MODEL is a model string, such as ``http://127.0.0.1:8000/v1#model``; NAME is what the examples call it.
Rewrites examples/standin/answers.json: an answer to every question of the corpus, given the passages that the
LangChain example finds, and the steps of the agent on its own questions.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool

from examples.langchain_rag import rag
from examples.langchain_rag.app import opened
from examples.langgraph_agent.__main__ import QUESTIONS
from examples.langgraph_agent.agent import SYSTEM, search_tool
from examples.options import Options
from examples.standin.recorded import FILE
from langchain_confroute.models import chat_model

MOST_STEPS = 4
MAX_TOKENS = 400


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    spec, name = sys.argv[1:]
    model = chat_model(spec, max_tokens=MAX_TOKENS, temperature=0.0)
    store = opened(Options())
    chain = rag.chain(store, model)  # type: ignore[arg-type]  # any chat model answers; none is routed here
    tool = search_tool(store)
    agent = {question: steps(model.bind_tools([tool]), tool, question) for question in QUESTIONS}
    print(json.dumps(agent, indent=2))
    answers = {}
    for row in map(json.loads, (FILE.parents[1] / "corpus" / "questions.jsonl").open(encoding="utf-8")):
        reply = chain.invoke({"question": row["question"]})["answer"]
        answers[row["question"]] = kept(reply)
        print(f"{row['question']}\n  {reply.text}")
    recording = {"recorded_with": name, "answers": answers, "agent": agent}
    FILE.write_text(json.dumps(recording, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def steps(model: Any, tool: BaseTool, question: str) -> list[dict[str, Any]]:
    """Run the agent's loop, in the words of Qwen's own template: small servers do not speak of tools."""
    messages: list[Any] = [SystemMessage(SYSTEM), HumanMessage(question)]
    said: list[dict[str, Any]] = []
    for _ in range(MOST_STEPS):
        reply = model.invoke(messages)
        query = reply.tool_calls[0]["args"]["query"] if reply.tool_calls else written_query(str(reply.text))
        if query is None:
            return [*said, kept(reply)]
        said.append({**kept(reply), "answer": "", "search": query})
        call = {"name": tool.name, "arguments": {"query": query}}
        found = tool.invoke({"query": query})
        messages += [
            AIMessage(f"<tool_call>\n{json.dumps(call)}\n</tool_call>"),
            HumanMessage(f"<tool_response>\n{found}\n</tool_response>"),
        ]
    raise SystemExit(f"{question!r} is not answered after {MOST_STEPS} steps: record with another model")


def written_query(text: str) -> str | None:
    """Return the query of a tool call that is written into a reply as JSON; None where there is none."""
    for start in (i for i, letter in enumerate(text) if letter == "{"):
        try:
            call, _ = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(call, dict) and "query" in call.get("arguments", {}):
            return str(call["arguments"]["query"])
    return None


def kept(reply: Any) -> dict[str, Any]:
    if reply.usage_metadata is None:
        raise SystemExit("the model does not count tokens: record with one that does")
    counted = {key: reply.usage_metadata[key] for key in ("input_tokens", "output_tokens")}
    return {"answer": str(reply.text).strip(), **counted}


if __name__ == "__main__":
    main()
