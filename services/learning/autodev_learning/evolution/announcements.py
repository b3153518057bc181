"""The events of the evolution loop, made from what the rules know."""

from google.protobuf.message import Message

from autodev.gateway.v1 import event_pb2
from autodev_learning.advisor import Guidance
from autodev_learning.evolution.experiments import Experiment
from autodev_learning.evolution.mutations import Mutation
from autodev_learning.evolution.opportunities import Opportunity, Trigger
from autodev_learning.memento.announcements import event_text
from autodev_sdk.events import make_event

TRIGGERS = {
    Trigger.LATENCY: event_pb2.OPTIMIZATION_TRIGGER_LATENCY,
    Trigger.TOKENS: event_pb2.OPTIMIZATION_TRIGGER_TOKENS,
    Trigger.FAILURE: event_pb2.OPTIMIZATION_TRIGGER_FAILURE,
}


def optimization_triggered(opportunity: Opportunity, caused_by: str) -> event_pb2.Event:
    """OptimizationTriggered."""
    payload = event_pb2.OptimizationTriggered(
        opportunity_id=opportunity.id,
        skill_id=opportunity.skill_id,
        skill_name=opportunity.skill_name,
        trigger=TRIGGERS[opportunity.trigger],
        execution_id=opportunity.execution_id,
        started_by=event_text(opportunity.started_by, 1000),
    )
    return _event(payload, opportunity.agent_id, opportunity.id, caused_by)


def mutation_generated(mutation: Mutation, caused_by: str) -> event_pb2.Event:
    """MutationGenerated."""
    payload = event_pb2.MutationGenerated(
        mutation_id=mutation.id,
        skill_id=mutation.skill_id,
        skill_name=mutation.skill_name,
        proposer=mutation.provenance.proposer,
        failure_reason=event_text(mutation.execution_error),
    )
    return _event(payload, mutation.agent_id, mutation.thread, caused_by)


def mutation_executed(mutation: Mutation, fault: str, caused_by: str) -> event_pb2.Event:
    """MutationExecuted."""
    payload = event_pb2.MutationExecuted(mutation_id=mutation.id, passed=not fault, execution_error=event_text(fault))
    return _event(payload, mutation.agent_id, mutation.thread, caused_by)


def experiment_progressed(experiment: Experiment) -> event_pb2.Event:
    """ExperimentProgressed."""
    payload = event_pb2.ExperimentProgressed(
        experiment_id=experiment.id,
        iterations_done=len(experiment.steps),
        iterations_limit=experiment.budget.max_iterations,
        best_fitness=experiment.best_fitness,
        best_mutation_id=experiment.best_mutation_id,
        ended=experiment.ended_at is not None,
    )
    return _event(payload, experiment.agent_id, experiment.id, "")


def guidance_issued(subject: str, guidance: Guidance, agent_id: str, correlation_id: str) -> event_pb2.Event:
    """GuidanceIssued."""
    payload = event_pb2.GuidanceIssued(
        subject=subject, guidance=event_text(guidance.text), readiness=guidance.readiness
    )
    return _event(payload, agent_id, correlation_id, "")


def _event(payload: Message, agent_id: str, correlation_id: str, caused_by: str) -> event_pb2.Event:
    return make_event(payload, agent_id=agent_id, correlation_id=correlation_id, causation_id=caused_by)
