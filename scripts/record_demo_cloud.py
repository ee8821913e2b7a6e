"""Record the answers that stand in for a cloud model in ``confroute demo``.

Usage: python scripts/record_demo_cloud.py MODEL NAME

MODEL is a model string, such as ``gguf:qwen2.5-coder-1.5b-instruct-q4_k_m.gguf``; NAME is what the demo calls
it. Rewrites langchain_confroute/demo/questions.json with greedy answers and their token counts.
"""

import json
import sys
from pathlib import Path

from confroute.decision import Message, RouteRequest
from confroute.models import load_model
from langchain_confroute.demo.run import MAX_TOKENS

INSTRUCTION = "Answer in one short sentence."
FILE = Path(__file__).parents[1] / "langchain_confroute" / "demo" / "questions.json"


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    spec, name = sys.argv[1:]
    model = load_model(spec)
    rows = []
    for row in json.loads(FILE.read_text(encoding="utf-8"))["questions"]:
        request = RouteRequest((Message("system", INSTRUCTION), Message("user", row["question"])))
        (reply,) = model.sample(request, 1, temperature=0.0, max_tokens=MAX_TOKENS)
        if reply.usage is None:
            raise SystemExit(f"{spec} does not count tokens: record with a model that does")
        counted = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
        rows.append({"question": row["question"], "answer": reply.text.strip(), **counted})
        print(f"{row['question']}\n  {reply.text.strip()}")
    FILE.write_text(
        json.dumps({"recorded_with": name, "questions": rows}, ensure_ascii=False, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
