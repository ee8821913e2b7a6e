"""What a store holds, for people."""

from __future__ import annotations

import json

from confroute.labelling.labels import complete_questions
from confroute.labelling.settings import ROLES, SamplingSettings
from confroute.labelling.store import Store


def status(store: Store) -> str:
    """Return what a run has done and what is left, in a few lines."""
    written = store.settings()
    if not written:
        return f"{store.path}: empty, no run has begun"
    sampling = SamplingSettings.of_run(written)
    ((n_questions,),) = store.rows("SELECT count(*) FROM question")
    settings = ", ".join(f"{name}={value}" for name, value in sampling if name != "instruction")
    lines = [
        f"store        {store.path}",
        f"edge         {written['edge']}",
        f"cloud        {written['cloud']}",
        f"sampling     {settings}",
        f"instruction  {json.dumps(sampling.instruction, ensure_ascii=False)}",
        f"questions    {n_questions}, of which {len(complete_questions(store, sampling))} with all answers",
    ]
    wanted = n_questions * len(sampling.draws())
    query = (
        "SELECT role, count(*), sum(input_tokens), sum(output_tokens), sum(usd), "
        "count(input_tokens + output_tokens), count(usd) FROM sample GROUP BY role"
    )
    found = {role: rest for role, *rest in store.rows(query)}
    for role in ROLES:
        n, n_in, n_out, usd, n_counted, n_priced = found.get(role, (0, 0, 0, 0.0, 0, 0))
        tokens = f"{n_in:,} tokens in, {n_out:,} out" if n_counted == n else "tokens not all known"
        money = f"${usd:.4f}" if n_priced == n else "cost unknown"
        lines.append(f"{role:<13}{n:,} of {wanted:,} answers, {tokens}, {money}")
    states = dict(store.rows("SELECT state, count(*) FROM intent GROUP BY state"))
    lines.append(
        f"requests     {states.get('received', 0):,} answered, {states.get('failed', 0)} refused, "
        f"{states.get('lost', 0) + states.get('sent', 0)} without an answer"
    )
    if told := judge_told(store):
        lines.append(f"judge        {told}")
    labels = dict(store.rows("SELECT label, count(*) FROM label GROUP BY label"))
    if made := written.get("labels"):
        shares = ", ".join(f"{labels.get(name, 0)} {name}" for name in (*ROLES, "tie"))
        lines.append(
            f"labels       {shares} (rule {made['rule']}, tau {made['tau']:g}, estimator "
            f"{made['estimator']}, equivalence {made['equivalence']})"
        )
    else:
        lines.append("labels       none yet")
    return "\n".join(lines)


def judge_told(store: Store) -> str:
    """Return how often an LLM judge of equivalence was asked and what that cost; empty if never."""
    judge = store.judge_spend()
    if not judge.calls:
        return ""
    return f"{judge.calls:,} calls, " + ("cost unknown" if judge.n_unknown else f"${judge.usd:.4f}")
