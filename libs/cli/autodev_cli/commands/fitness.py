"""`autodev fitness`: how variants of workflows score, and why."""

from collections.abc import Iterator
from typing import Annotated

import typer

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev.learning.v1 import evolver_service_pb2 as evolver
from autodev_cli.lineage import whole_lineage
from autodev_cli.options import INT64, Connection, connected, new_app
from autodev_cli.output import as_dict, moment, print_json, print_table, say, say_lines
from autodev_cli.paging import whole
from autodev_cli.target import ask
from autodev_sdk import uuid7

app = new_app("See how variants of workflows score, and why; make others of them.")

VariantId = Annotated[str, typer.Argument(metavar="VARIANT", help="The variant's id, as `top` shows it.")]


@app.command()
@connected
def top(
    connection: Connection,
    limit: Annotated[int, typer.Option("--limit", help="How many.", min=1, max=100)] = 5,
) -> None:
    """List the fittest variants, best first."""
    answer = ask(connection, lambda mesh: mesh.fitness.ListTopVariants(pb.ListTopVariantsRequest(limit=limit)))
    if connection.json:
        print_json(as_dict(answer))
        return
    _print_variants(list(answer.variants), empty="No variant has a score above 0.")


@app.command()
@connected
def lineage(connection: Connection, variant_id: VariantId) -> None:
    """List a variant and what it was made of, the root last."""
    answer = ask(connection, lambda mesh: whole_lineage(mesh.fitness.GetLineage, variant_id))
    if connection.json:
        print_json(as_dict(answer))
        return
    _print_variants(list(answer.variants), empty="")
    if older := answer.variants[-1].parent_variant_id:
        say(f"There are more than these {len(answer.variants)}: go on with autodev fitness lineage {older}")


@app.command()
@connected
def explain(connection: Connection, variant_id: VariantId) -> None:
    """Explain a variant's score: its first run, then each signal, which together are the score exactly."""
    request = pb.ExplainFitnessRequest(variant_id=variant_id)
    answer = ask(connection, lambda mesh: whole(mesh.fitness.ExplainFitness, request, lambda page: page.steps))
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(("when", "what", "value", "adds", "score", ""), list(_rows(answer)), empty="")
    since = f", in use since {moment(answer.weights.since)}" if answer.weights.version else " (not recorded)"
    say(f"score {answer.fitness_score!r}, by weights {answer.weights.version}{since}")


@app.command()
@connected
def compare(connection: Connection, variant_id: VariantId, other: VariantId) -> None:
    """Compare two variants by what both were told, and say who is better and why."""
    request = pb.CompareScoresRequest(variant_id=variant_id, other_variant_id=other)
    answer = ask(connection, lambda mesh: mesh.fitness.CompareScores(request))
    if connection.json:
        print_json(as_dict(answer))
        return
    say_lines(answer.explanation)
    print_table(
        ("what", "the one", "the other"),
        [(each.what, f"{each.adjustment:+.3g}", f"{each.other_adjustment:+.3g}") for each in answer.differences],
        empty="Nothing that both were told was worth more to one of them.",
    )


@app.command()
@connected
def mutate(
    connection: Connection,
    variant_id: VariantId,
    agent: Annotated[str, typer.Option("--agent", help="The agent that it is made for.")],
    mate: Annotated[str, typer.Option("--mate", help="Another variant, to take steps from.")] = "",
    edit: Annotated[
        str, typer.Option("--edit", help="drop, duplicate, swap, parameter or crossover. Default: any of them.")
    ] = "",
    seed: Annotated[
        int,
        typer.Option(
            "--seed", **INT64, help="The same seed makes the same. Default: another each time.", show_default=False
        ),
    ] = 0,
) -> None:
    """Make another variant of a workflow by one structural change."""
    mutation = evolver.WorkflowMutation(variant_id=variant_id, mate_variant_id=mate, edit=edit, seed=seed)
    request = evolver.SpawnWorkflowVariantRequest(request_id=uuid7(), agent_id=agent, workflow_mutation=mutation)
    answer = ask(connection, lambda mesh: mesh.evolver.SpawnWorkflowVariant(request))
    if connection.json:
        print_json(as_dict(answer))
        return
    say(f"{answer.variant_id}: {answer.detail}")


def _print_variants(variants: list[pb.WorkflowVariant], *, empty: str) -> None:
    print_table(
        ("variant", "score", "signals", "agent", "made", "how"),
        [
            (
                each.id,
                each.fitness_score if each.HasField("last_evaluated_at") else "pending",
                len(each.external_signals),
                each.agent_id,
                moment(each.created_at),
                each.origin.detail,
            )
            for each in variants
        ],
        empty=empty,
    )


def _rows(answer: pb.ExplainFitnessResponse) -> Iterator[tuple[str, ...]]:
    for fact in answer.first_run:
        yield "", fact.name if fact.holds else f"not: {fact.name}", "", f"{fact.adjustment:+.3g}", "", ""
    clamped = "clamped" if answer.proxy_clamped else ""
    function = " ".join(filter(None, (answer.fitness_function, answer.fitness_function_version)))
    yield "", f"first run ({function})", "", "", f"{answer.proxy_score:.3g}", clamped
    for step in answer.steps:
        kind = step.signal.WhichOneof("kind") or ""
        value = f"{step.signal.conversion_value:g}" if kind == "conversion_value" else ""
        clamped = f"clamped from {step.sum_after:.3g}" if step.clamped else ""
        what = f"{kind} ({step.signal.id})"
        yield moment(step.received_at), what, value, f"{step.adjustment:+.3g}", f"{step.score_after:.3g}", clamped
