"""Was it worth it? Curves, baselines and intervals, for confroute's routers and for anybody's."""

from confroute.evaluation.baselines import (
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_scores,
    random_spread,
)
from confroute.evaluation.benchmarks import load_benchmark
from confroute.evaluation.bootstrap import Comparison, Interval, bootstrap_curve, compare
from confroute.evaluation.curves import Costs, RoutingCurve
from confroute.evaluation.judge_prompts import JudgePrompt
from confroute.evaluation.judging import Judgement, judge
from confroute.evaluation.measure import Evaluation, Signal, evaluate
from confroute.evaluation.metrics import Reliability, auroc, reliability
from confroute.evaluation.outcomes import Outcomes, read_outcomes
from confroute.evaluation.report import write_report

__all__ = [
    "Comparison",
    "Costs",
    "Evaluation",
    "Interval",
    "JudgePrompt",
    "Judgement",
    "Outcomes",
    "Reliability",
    "RoutingCurve",
    "Signal",
    "auroc",
    "bootstrap_curve",
    "compare",
    "edge_confidence_scores",
    "evaluate",
    "judge",
    "load_benchmark",
    "oracle_scores",
    "prompt_length_scores",
    "random_scores",
    "random_spread",
    "read_outcomes",
    "reliability",
    "write_report",
]
