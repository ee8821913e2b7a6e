"""``confroute route``: the decision for one question."""

from __future__ import annotations

import json

import click


@click.command(no_args_is_help=True)
@click.argument("question")
@click.option("--edge", default="local:smollm2", show_default=True, help="The edge model, which is asked.")
@click.option("--samples", default=4, show_default=True, help="Further answers to draw at most.")
@click.option("--threshold", type=float, help="Cloud from this uncertainty on.  [default: the router's own]")
@click.option(
    "--probe",
    type=click.Choice(["brief", "full"]),
    default="brief",
    show_default=True,
    help="Look at a bare answer, or at the whole reply.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the decision as one line of JSON.")
def route(question: str, edge: str, samples: int, threshold: float | None, probe: str, as_json: bool) -> None:
    """Print the decision for one QUESTION.

    The edge model answers once. Where that does not settle it, a few more answers are drawn and held against
    the first. Then this says which model should answer.

    \b
    Example:
      confroute route "Who wrote Effi Briest?" --edge ollama:qwen2.5:1.5b
    """
    from confroute.decision import RouteRequest
    from confroute.errors import ConfRouteError, ModelError
    from confroute.models import load_model
    from confroute.routers.confidence import ConfidenceRouter

    if not question.strip():
        raise click.UsageError(
            'the question is empty: expected a text, as in confroute route "Who wrote it?"'
        )
    router = ConfidenceRouter(n_samples=samples, threshold=threshold, probe=probe)  # type: ignore[arg-type]  # click has checked the choice
    model = load_model(edge)
    try:
        decided = router.decide(RouteRequest.from_text(question), model)
    except ConfRouteError:
        raise
    except Exception as error:
        raise ModelError(
            f"the edge model {edge!r} did not answer: {type(error).__name__}: {error} "
            "Check that its server runs and that its key is set"
        ) from error
    decision, evidence = decided.decision, decided.evidence
    if as_json:
        click.echo(json.dumps({**decision.to_dict(), "evidence": evidence.to_dict() if evidence else None}))
        return
    click.echo(f"{decision.route}: {decision.reason}")
    for group in evidence.groups() if evidence else []:
        click.echo(f"  {len(group)} × {' | '.join(dict.fromkeys(sample.text for sample in group))}")
