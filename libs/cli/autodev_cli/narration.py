"""What each event says, in one line."""

from collections.abc import Callable
from typing import Any

from autodev.gateway.v1 import event_pb2 as pb
from autodev_cli.output import enum_word, moment, one_line
from autodev_sdk import event_type, payload_of

KINDS = {enum_word(name, "EVENT_TYPE_"): number for name, number in pb.EventType.items() if number}
"""Event types by the words that people use for them: `task_failed`."""

REASON = 600
"""Each proposer says why it has nothing: short of this, the last of them are not heard."""


def kind_of(event: pb.Event) -> str:
    """The event's kind as a word; "unknown" for one of a later version."""
    number = event_type(event)
    return enum_word(pb.EventType.Name(number), "EVENT_TYPE_") if number else "unknown"


def tell(event: pb.Event) -> str:
    """What the event says, without its kind, time and agent."""
    telling = _TELLINGS.get(kind_of(event))
    return telling(payload_of(event)) if telling else ""


def line(event: pb.Event) -> str:
    """Time, kind, agent and what it says."""
    return "  ".join(
        part for part in (moment(event.recorded_at), f"{kind_of(event):24}", event.agent_id, tell(event)) if part
    )


def _skipped(reason: str, else_say: str) -> str:
    return f"nothing: {one_line(reason, REASON)}" if reason else else_say


def _validated(said: pb.CandidateValidated) -> str:
    verdict = "passed" if said.passed else "failed"
    return (
        f"{verdict}: {said.visible_passed}/{said.visible_examples} examples it saw, "
        f"{said.held_out_passed}/{said.held_out_examples} held out, {said.sandbox_seconds:.2f} s in the sandbox"
    )


def _compared(said: pb.VariantsCompared) -> str:
    verdict = "wins" if said.wins else "does not win"
    return f"{verdict}: {said.time_ratio:.3f} of the original's time, fitness {said.fitness_delta:+.3f}"


def _progressed(said: pb.ExperimentProgressed) -> str:
    return f"round {said.iterations_done}/{said.iterations_limit}, best fitness {said.best_fitness:.3f}" + (
        ", ended" if said.ended else ""
    )


_TELLINGS: dict[str, Callable[[Any], str]] = {
    "task_failed": lambda said: f"{one_line(said.task_description, 50)}  {one_line(_last_line(said.error_trace), 90)}",
    "task_succeeded": lambda said: one_line(said.task_description, 50),
    "skill_executed": lambda said: (
        f"{said.skill_name} {said.skill_version} {'ran' if said.success else 'failed'}, {said.execution_seconds:.3f} s"
    ),
    "failure_pattern_detected": lambda said: f"{said.failure_count} times {one_line(said.task_description, 60)}",
    "candidate_generated": lambda said: _skipped(said.failure_reason, f"{said.skill_name} by {said.proposer}"),
    "candidate_validated": _validated,
    "review_requested": lambda said: one_line(said.title, 100),
    "review_decided": lambda said: (
        f"{enum_word(pb.Decision.Name(said.decision), 'DECISION_')} by {said.reviewer}"
        + (f": {one_line(said.reason)}" if said.reason else "")
    ),
    "skill_promoted": lambda said: f"{said.skill_name} {said.version}",
    "skill_trial_started": lambda said: f"{said.skill_name} {said.version} runs {said.share:.0%} of executions",
    "skill_rolled_back": lambda said: f"{said.skill_name} {said.from_version} → {said.to_version} by {said.operator}",
    "optimization_triggered": lambda said: (
        f"{said.skill_name}: {enum_word(pb.OptimizationTrigger.Name(said.trigger), 'OPTIMIZATION_TRIGGER_')}"
    ),
    "mutation_generated": lambda said: _skipped(said.failure_reason, f"{said.skill_name} by {said.proposer}"),
    "mutation_executed": lambda said: "passed" if said.passed else f"failed: {one_line(said.execution_error, 120)}",
    "variant_scored": lambda said: f"fitness {said.fitness_score:.3f}",
    "variants_compared": _compared,
    "experiment_progressed": _progressed,
    "capability_unlocked": lambda said: one_line(said.message, 120) or f"{said.capability} {said.maturity}",
    "quota_exceeded": lambda said: f"{said.capability}: {said.used} of {said.limit} today",
    "guidance_issued": lambda said: one_line(said.guidance, 120),
}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
