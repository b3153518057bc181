"""`autodev evolve`: what could be improved, and experiments that look for better programs."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Annotated

import grpc
import typer

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import evolver_service_pb2 as pb
from autodev_cli.errors import UsageError
from autodev_cli.options import INT64, Connection, connected, new_app
from autodev_cli.output import as_dict, enum_word, moment, one_line, print_json, print_json_line, print_table, say
from autodev_cli.paging import first_of
from autodev_cli.spans import span_given
from autodev_cli.target import ask
from autodev_sdk import AutoDevClient, uuid7
from autodev_sdk.pauses import pauses_s

app = new_app("See what could be improved, start it, and run experiments.")

ExperimentId = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="The experiment's id, as `experiments` shows it.")
]
First = Annotated[int, typer.Option("--first", min=1, max=100_000, help="How many, the newest first.")]


RESUMED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""What a stream ends with whose gateway or service is restarted."""

Progress = AsyncIterable[pb.RunResearchExperimentResponse | pb.WatchExperimentResponse]


@app.command()
@connected
def opportunities(connection: Connection, first: First = 50) -> None:
    """List skills that turned out slow, dear or wrong, newest first."""

    async def listed(mesh: AutoDevClient) -> list[pb.Opportunity]:
        request = pb.ListOpportunitiesRequest()
        return await first_of(first, mesh.evolver.ListOpportunities, request, lambda page: page.opportunities)

    found = ask(connection, listed)
    if connection.json:
        print_json([as_dict(each) for each in found])
        return
    print_table(
        ("opportunity", "skill", "agent", "why", "seen", "started by", "rewrite"),
        [
            (
                each.id,
                each.skill_name,
                each.agent_id,
                enum_word(event_pb2.OptimizationTrigger.Name(each.trigger), "OPTIMIZATION_TRIGGER_"),
                moment(each.created_at),
                each.started_by,
                each.mutation_id or one_line(each.skipped_reason, 80),
            )
            for each in found
        ],
        empty="Nothing was seen that could be improved.",
    )


@app.command()
@connected
def start(
    connection: Connection,
    opportunity: Annotated[str, typer.Argument(metavar="OPPORTUNITY", help="Its id, as `opportunities` shows it.")],
) -> None:
    """Have a skill rewritten; what wins waits for a review. Needs the role reviewer."""
    request = pb.StartOptimizationRequest(opportunity_id=opportunity)
    started = ask(connection, lambda mesh: mesh.evolver.StartOptimization(request)).opportunity
    if connection.json:
        print_json(as_dict(started))
    else:
        say(f"{started.skill_name} is rewritten; see `autodev events tail --follow`, `autodev review list`")


@app.command()
@connected
def run(
    connection: Connection,
    agent: Annotated[str, typer.Option("--agent", help="The agent that it is for.")],
    skill: Annotated[str, typer.Option("--skill", help="The skill to improve, by name or id.")] = "",
    score: Annotated[
        str, typer.Option("--score", help="Or the score function to search by: minimise-waves, or one of your own.")
    ] = "",
    iterations: Annotated[int, typer.Option("--iterations", min=1, max=1000, help="Steps at the most.")] = 5,
    within: Annotated[str, typer.Option("--within", help="Time at the most: 90s, 10m, 2h.")] = "10m",
    seed: Annotated[int, typer.Option("--seed", **INT64, help="What is drawn by lot depends on it alone.")] = 0,
) -> None:
    """Run an experiment on a skill, or by a score function, and follow it to its end. Ctrl-C leaves it running."""
    if bool(skill) == bool(score):
        raise UsageError("give one of --skill and --score")
    request = pb.RunResearchExperimentRequest(
        request_id=uuid7(),
        skill_id=skill,
        agent_id=agent,
        budget=pb.ExperimentBudget(max_iterations=iterations),
        plan=pb.SearchPlan(seed=seed),
        score=pb.ScoreFunction(name=score) if score else None,
    )
    request.budget.max_wall_time.FromTimedelta(span_given("--within", within))
    ask(connection, lambda mesh: _print_to_its_end(connection, lambda: mesh.evolver.RunResearchExperiment(request)))


@app.command()
@connected
def watch(connection: Connection, experiment: ExperimentId) -> None:
    """Follow an experiment to its end."""
    request = pb.WatchExperimentRequest(experiment_id=experiment)
    ask(connection, lambda mesh: _print_to_its_end(connection, lambda: mesh.evolver.WatchExperiment(request)))


@app.command()
@connected
def experiments(connection: Connection, first: First = 50) -> None:
    """List experiments, newest first."""

    async def listed(mesh: AutoDevClient) -> list[pb.Experiment]:
        request = pb.ListExperimentsRequest()
        return await first_of(first, mesh.evolver.ListExperiments, request, lambda page: page.experiments)

    found = ask(connection, listed)
    if connection.json:
        print_json([as_dict(each) for each in found])
        return
    print_table(
        ("experiment", "of", "agent", "state", "steps", "best", "started", "ended by"),
        [
            (
                each.id,
                each.skill_id or one_line(each.score.description or each.score.call, 50),
                each.agent_id,
                _state_of(each),
                len(each.steps),
                each.best_fitness,
                moment(each.created_at),
                each.stop_reason,
            )
            for each in found
        ],
        empty="No experiments yet.",
    )


@app.command()
@connected
def cancel(connection: Connection, experiment: ExperimentId) -> None:
    """Stop an experiment after the step that it is at; what it found is judged as at any end."""
    request = pb.CancelExperimentRequest(experiment_id=experiment)
    cancelled = ask(connection, lambda mesh: mesh.evolver.CancelExperiment(request)).experiment
    if connection.json:
        print_json(as_dict(cancelled))
    else:
        say(f"{cancelled.id} is {_state_of(cancelled)}: {cancelled.stop_reason}")


async def _print_to_its_end(connection: Connection, call: Callable[[], Progress]) -> None:
    """Print each step once, and how it ended."""
    printed = -1
    async for experiment in _followed(call):
        if connection.json:
            print_json_line(as_dict(experiment))
            continue
        if printed < 0:
            say(f"experiment {experiment.id}")
        for step in experiment.steps[max(printed, 0) :]:
            say(f"{step.iteration}/{experiment.budget.max_iterations}  {step.fitness:.6g}  {step.summary}")
        printed = len(experiment.steps)
        if experiment.HasField("ended_at"):
            say(f"{_state_of(experiment)}: {experiment.stop_reason}; best {experiment.best_fitness:.6g}")


async def _followed(call: Callable[[], Progress]) -> AsyncIterator[pb.Experiment]:
    """The experiment at each change. It goes on where a service is restarted, and so does who follows it."""
    heard, pauses = False, pauses_s()
    while True:
        try:
            async for answer in call():
                heard, pauses = True, pauses_s()
                yield answer.experiment
        except grpc.aio.AioRpcError as error:
            if not heard or error.code() not in RESUMED:
                raise
            await asyncio.sleep(next(pauses))
        else:
            return


def _state_of(experiment: pb.Experiment) -> str:
    return enum_word(pb.ExperimentState.Name(experiment.state), "EXPERIMENT_STATE_")
