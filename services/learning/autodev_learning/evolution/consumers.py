"""What the evolution loop does on events: protobuf to the rules, and nothing else. Each group works on by itself."""

from functools import partial

import grpc

from autodev.gateway.v1 import event_pb2
from autodev.gateway.v1.event_pb2 import Event, SkillExecutionEvent
from autodev_learning.evolution.generation import Generation
from autodev_learning.evolution.judging import Judge
from autodev_learning.evolution.mutation_runs import MutationRuns
from autodev_learning.evolution.opportunities import Evolution, SkillRun
from autodev_learning.evolution.research import Research
from autodev_learning.peers.patience import patient_worker
from autodev_sdk.events import EventWorker

RUNS_AT_A_TIME = 16
MUTATIONS_AT_A_TIME = 4


def evolution_workers(
    gateway: grpc.aio.Channel,
    evolution: Evolution,
    generation: Generation,
    runs: MutationRuns,
    judge: Judge,
    research: Research,
    *,
    patience_s: float,
) -> list[EventWorker]:
    """The workers of the loop: runs to opportunities, opportunities to mutations, mutations to comparisons."""

    group = partial(patient_worker, gateway, patience_s)
    return [
        group(
            "evolution",
            {event_pb2.EVENT_TYPE_SKILL_EXECUTED: partial(on_skill_executed, evolution)},
            RUNS_AT_A_TIME,
        ),
        group(
            "mutations",
            {
                event_pb2.EVENT_TYPE_OPTIMIZATION_TRIGGERED: partial(on_optimization_triggered, generation),
                event_pb2.EVENT_TYPE_MUTATION_GENERATED: partial(on_mutation_generated, runs, research),
                event_pb2.EVENT_TYPE_MUTATION_EXECUTED: partial(on_mutation_executed, judge),
            },
            MUTATIONS_AT_A_TIME,
        ),
    ]


async def on_skill_executed(evolution: Evolution, event: Event) -> None:
    """Keep the run, and what it shows."""
    await evolution.keep_run(run_from(event, event.skill_executed), event.id)


async def on_optimization_triggered(generation: Generation, event: Event) -> None:
    """Write the opportunity's mutation."""
    await generation.on_opportunity(event.optimization_triggered.opportunity_id, event.id)


async def on_mutation_generated(runs: MutationRuns, research: Research, event: Event) -> None:
    """Run the mutation in turns with its parent."""
    await runs.after_generation(event.mutation_generated.mutation_id, event.id)
    await research.put_away_late(event.mutation_generated.mutation_id)


async def on_mutation_executed(judge: Judge, event: Event) -> None:
    """Compare the mutation with its parent, and decide."""
    await judge.after_run(event.mutation_executed.mutation_id, event.id)


def run_from(event: Event, run: SkillExecutionEvent) -> SkillRun:
    """The run that an event reports."""
    return SkillRun(
        execution_id=run.execution_id,
        agent_id=run.agent_id or event.agent_id,
        skill_id=run.skill_id,
        skill_version=run.skill_version,
        seconds=run.execution_seconds,
        tokens=run.token_usage,
        success=run.success,
        output=run.output,
        call=run.call,
        expected=run.expected,
    )
