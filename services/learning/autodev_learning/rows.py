"""The tables of the learning service. Shapes only: queries are in the stores beside the rules that ask them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autodev_runtime import outbox
from autodev_runtime.columns import LargeInteger, Moment, now
from autodev_runtime.scoped_session import TenantScoped
from autodev_sdk.events import uuid7

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Base of the service's tables."""


class OutboxRow(outbox.OutboxRow, Base):
    """Events written and not yet published."""


_PLACED: Json = {name: text("pattern_id IS NOT NULL") for name in ("sqlite_where", "postgresql_where")}
_AT_HOME: Json = {name: text("NOT astray") for name in ("sqlite_where", "postgresql_where")}
_WAITING: Json = {
    name: text("COALESCE(astray, pattern_id IS NULL) AND failure_task IS NOT NULL")
    for name in ("sqlite_where", "postgresql_where")
}
_BY_WORDS: Json = {name: text("bits < 0") for name in ("sqlite_where", "postgresql_where")}


class EpisodeRow(TenantScoped, Base):
    """An attempt that was reported: a failure to learn from, or a success that is a case for the case bank."""

    __tablename__ = "episodes"
    __table_args__ = (
        UniqueConstraint("tenant_id", "episode_id"),
        Index("ix_episodes_agent", "tenant_id", "agent_id", "outcome"),
        Index("ix_episodes_pattern", "tenant_id", "pattern_id", "occurred_at", "id"),
        Index("ix_episodes_task", "tenant_id", "task_key", "outcome", "id"),
        # What detection asks for: failures of one error or of similar tasks, and the latest that are in patterns.
        Index("ix_episodes_signature", "tenant_id", "signature_key", "agent_id", "id"),
        Index("ix_episodes_failure_task", "tenant_id", "failure_task", "id"),
        Index("ix_episodes_placed", "tenant_id", "agent_id", "id", "failure_task", "signature_key", **_PLACED),
        Index("ix_episodes_placed_of_all", "tenant_id", "id", "agent_id", "failure_task", "signature_key", **_PLACED),
        Index("ix_episodes_placed_task", "tenant_id", "failure_task", "id", **_PLACED),
        Index("ix_episodes_home_task", "tenant_id", "failure_task", "id", **_AT_HOME),
        Index("ix_episodes_waiting_task", "tenant_id", "failure_task", "occurred_at", **_WAITING),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    episode_id: Mapped[str] = mapped_column(String(128))
    event_id: Mapped[str] = mapped_column(String(36))
    agent_id: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[str] = mapped_column(String(16))  # failure, partial, success
    task_description: Mapped[str] = mapped_column(Text)
    task_key: Mapped[str] = mapped_column(String(64))  # the description's SHA-256: an index cannot hold the text
    error_trace: Mapped[str] = mapped_column(Text, default="")
    error_signature: Mapped[str] = mapped_column(Text, default="")
    code: Mapped[str] = mapped_column(Text, default="")
    preamble: Mapped[str] = mapped_column(Text, default="")
    examples: Mapped[list[Json]] = mapped_column(JSON, default=list)  # {"call", "expected"}
    tool_calls: Mapped[list[Json]] = mapped_column(JSON, default=list)  # {"name", "arguments", "error"}
    segments: Mapped[list[Json]] = mapped_column(JSON, default=list)  # {"kind", "text"}
    pattern_id: Mapped[str | None] = mapped_column(String(36), default=None)
    occurred_at: Mapped[datetime] = mapped_column(Moment, default=now)
    # Of failures: the signature's SHA-256 (None where there is no error), and the task's words.
    signature_key: Mapped[str | None] = mapped_column(String(64), default=None)
    failure_task: Mapped[int | None] = mapped_column(LargeInteger, default=None)
    # Of those in patterns: whether it came by its error alone; None where a release placed it that did not ask.
    astray: Mapped[bool | None] = mapped_column(default=None)


class TaskWordRow(TenantScoped, Base):
    """A word that a failed task was told by, numbered as it was first seen. A long word is its SHA-256."""

    __tablename__ = "task_words"
    __table_args__ = (UniqueConstraint("tenant_id", "word"),)
    number: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=True)
    word: Mapped[str] = mapped_column(String(64))


class FailureTaskRow(TenantScoped, Base):
    """A task that an agent failed at, as the words that tell it: one row for all failures with these words."""

    __tablename__ = "failure_tasks"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "words_key"),
        Index("ix_failure_tasks_by_words", "tenant_id", "id", **_BY_WORDS),
    )
    id: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=True)
    agent_id: Mapped[str] = mapped_column(String(128))
    words_key: Mapped[str] = mapped_column(String(64))
    words: Mapped[list[str]] = mapped_column(JSON)
    # See word_index.py; -1, with which nothing is told apart, where an earlier release stored it, by words.
    bits: Mapped[int] = mapped_column(LargeInteger, server_default="-1")


class FailureWordRow(TenantScoped, Base):
    """The inverted index of failed tasks: see word_index.py for which words of a task it holds."""

    __tablename__ = "failure_words"
    __table_args__ = ({"sqlite_with_rowid": False},)
    tenant_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    word: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)
    agent_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    task: Mapped[int] = mapped_column(LargeInteger, primary_key=True, autoincrement=False)


class FailurePatternRow(TenantScoped, Base):
    """Similar failures, often enough, answered for the task of one of them, which never leaves it: `first_episode_id`.

    That makes it unique: one pattern a cluster.
    """

    __tablename__ = "failure_patterns"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "first_episode_id"),
        Index("ix_failure_patterns_agent", "tenant_id", "agent_id"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    agent_id: Mapped[str] = mapped_column(String(128))
    first_episode_id: Mapped[str] = mapped_column(String(128))
    error_signature: Mapped[str] = mapped_column(Text)
    task_description: Mapped[str] = mapped_column(Text)
    detected_at: Mapped[datetime] = mapped_column(Moment, default=now)
    candidate_id: Mapped[str | None] = mapped_column(String(36), default=None)
    skipped_reason: Mapped[str] = mapped_column(Text, default="")


class SkillCandidateRow(TenantScoped, Base):
    """Code that may become a skill."""

    __tablename__ = "skill_candidates"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_skill_candidates_agent", "tenant_id", "agent_id"),
        Index("ix_skill_candidates_episode", "tenant_id", "source_episode_id"),
        Index("ix_skill_candidates_status", "tenant_id", "validation_status"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    # The caller's request id, or "pattern:<id>": one candidate a request, one a pattern.
    request_id: Mapped[str] = mapped_column(String(160))
    agent_id: Mapped[str] = mapped_column(String(128))
    source_episode_id: Mapped[str] = mapped_column(String(128))
    pattern_id: Mapped[str | None] = mapped_column(String(36), default=None)
    skill_name: Mapped[str] = mapped_column(String(128))
    skill_description: Mapped[str] = mapped_column(Text)
    generated_code: Mapped[str] = mapped_column(Text, default="")
    preamble: Mapped[str] = mapped_column(Text, default="")
    failing_code: Mapped[str] = mapped_column(Text, default="")
    examples: Mapped[list[Json]] = mapped_column(JSON, default=list)
    failure_pattern: Mapped[Json] = mapped_column(JSON)
    validation_status: Mapped[str] = mapped_column(String(16), default="pending")
    validation_result: Mapped[Json | None] = mapped_column(JSON, default=None)
    provenance: Mapped[Json] = mapped_column(JSON, default=dict)
    overfit: Mapped[str] = mapped_column(String(16), default="")  # "", suspected, found
    fitness_score: Mapped[float] = mapped_column(default=0.0)
    review_id: Mapped[str | None] = mapped_column(String(36), default=None)
    skill_id: Mapped[str | None] = mapped_column(String(36), default=None)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    validated_at: Mapped[datetime | None] = mapped_column(Moment, default=None)
    promoted_at: Mapped[datetime | None] = mapped_column(Moment, default=None)


class ReviewRow(TenantScoped, Base):
    """A decision that a person has to make, or made. One a subject."""

    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_id"),
        Index("ix_reviews_decision", "tenant_id", "decision"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    subject_kind: Mapped[str] = mapped_column(String(16))  # candidate, mutation
    subject_id: Mapped[str] = mapped_column(String(36))
    agent_id: Mapped[str] = mapped_column(String(128))
    title: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    diff: Mapped[str] = mapped_column(Text, default="")
    evidence: Mapped[list[str]] = mapped_column(JSON, default=list)
    fitness_delta: Mapped[float] = mapped_column(default=0.0)
    overfit: Mapped[str] = mapped_column(String(16), default="")
    decision: Mapped[str] = mapped_column(String(16), default="")  # "", approved, rejected
    reviewer: Mapped[str] = mapped_column(String(128), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    on_trial: Mapped[bool] = mapped_column(default=False, server_default=false())
    requested_at: Mapped[datetime] = mapped_column(Moment, default=now)
    decided_at: Mapped[datetime | None] = mapped_column(Moment, default=None)


class SkillRow(TenantScoped, Base):
    """Something the tenant's agents can do: a name and the version that runs."""

    __tablename__ = "skills"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(128))
    description: Mapped[str] = mapped_column(Text)
    agent_id: Mapped[str] = mapped_column(String(128))
    active_version: Mapped[str] = mapped_column(String(32))
    canary_version: Mapped[str | None] = mapped_column(String(32), default=None)
    # The share of the executions that the version on trial gets, as it was when the trial began.
    canary_share: Mapped[float | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class SkillVersionRow(TenantScoped, Base):
    """One version of a skill's code; never changed. `source_id` is the candidate or mutation: one version each."""

    __tablename__ = "skill_versions"
    __table_args__ = (UniqueConstraint("skill_id", "version"), UniqueConstraint("tenant_id", "source_id"))
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    skill_id: Mapped[str] = mapped_column(String(36))
    version: Mapped[str] = mapped_column(String(32))
    parent_version: Mapped[str] = mapped_column(String(32), default="")
    code: Mapped[str] = mapped_column(Text)
    preamble: Mapped[str] = mapped_column(Text, default="")
    source_id: Mapped[str] = mapped_column(String(36))
    provenance: Mapped[Json] = mapped_column(JSON, default=dict)
    examples: Mapped[list[Json]] = mapped_column(JSON, default=list)
    entry_points: Mapped[list[str]] = mapped_column(JSON, default=list)
    content_sha256: Mapped[str] = mapped_column(String(64))
    approved_by: Mapped[str] = mapped_column(String(128), default="")
    # The version's workflow variant in the fitness service, once it has one.
    variant_id: Mapped[str | None] = mapped_column(String(36), default=None)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class SkillExampleRow(TenantScoped, Base):
    """A member of a skill's regression suite: one a call."""

    __tablename__ = "skill_examples"
    __table_args__ = (
        UniqueConstraint("tenant_id", "skill_id", "call_sha256"),
        Index("ix_skill_examples_age", "tenant_id", "skill_id", "id"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    skill_id: Mapped[str] = mapped_column(String(36))
    call_sha256: Mapped[str] = mapped_column(String(64))  # of the call's key: however it is written
    call: Mapped[str] = mapped_column(Text)
    expected: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(16))  # task, run, succession
    source_id: Mapped[str] = mapped_column(String(160))
    held_out: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class SkillRollbackRow(TenantScoped, Base):
    """Who went back to which version, and why. It makes a repeated request harmless."""

    __tablename__ = "skill_rollbacks"
    __table_args__ = (UniqueConstraint("tenant_id", "request_id"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(128))
    skill_id: Mapped[str] = mapped_column(String(36))
    from_version: Mapped[str] = mapped_column(String(32))
    to_version: Mapped[str] = mapped_column(String(32))
    operator: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class SkillExecutionRow(TenantScoped, Base):
    """One run of a skill: by ExecuteSkill, or reported by a runtime."""

    __tablename__ = "skill_executions"
    __table_args__ = (
        UniqueConstraint("tenant_id", "execution_id"),
        Index("ix_skill_executions_skill", "tenant_id", "skill_id"),
        Index("ix_skill_executions_version", "tenant_id", "skill_id", "skill_version", "id"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    execution_id: Mapped[str] = mapped_column(String(160))
    request_id: Mapped[str | None] = mapped_column(String(128), default=None)
    skill_id: Mapped[str] = mapped_column(String(128))
    # The version of which the run says something in a trial; empty: of none.
    skill_version: Mapped[str] = mapped_column(String(32), default="")
    agent_id: Mapped[str] = mapped_column(String(128))
    call: Mapped[str] = mapped_column(Text, default="")
    expected: Mapped[str] = mapped_column(Text, default="")  # what the call must give, where the runtime knows
    success: Mapped[bool]
    execution_seconds: Mapped[float]
    token_usage: Mapped[int] = mapped_column(LargeInteger, default=0)
    response: Mapped[Json | None] = mapped_column(JSON, default=None)  # ExecuteSkill's answer, for a repeated request
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class OpportunityRow(TenantScoped, Base):
    """A skill that could be improved: one a skill version and trigger."""

    __tablename__ = "opportunities"
    __table_args__ = (UniqueConstraint("tenant_id", "skill_id", "skill_version", "trigger"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    skill_id: Mapped[str] = mapped_column(String(36))
    skill_version: Mapped[str] = mapped_column(String(32))
    skill_name: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str] = mapped_column(String(128))
    trigger: Mapped[str] = mapped_column(String(16))  # latency, tokens, failure
    execution_id: Mapped[str] = mapped_column(String(160))
    started_by: Mapped[str] = mapped_column(String(128), default="")
    mutation_id: Mapped[str | None] = mapped_column(String(36), default=None)
    skipped_reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class ToolMutationRow(TenantScoped, Base):
    """A rewrite of a skill version."""

    __tablename__ = "tool_mutations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_tool_mutations_parent", "tenant_id", "parent_tool_id"),
        Index("ix_tool_mutations_status", "tenant_id", "sandbox_status"),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    # The caller's request id, "opportunity:<id>" or "experiment:<id>:<iteration>".
    request_id: Mapped[str] = mapped_column(String(160))
    parent_tool_id: Mapped[str] = mapped_column(String(80))  # "<skill id>@<version>"
    # Within an experiment, the mutation this one was made from; empty: the parent version's own code.
    parent_mutation_id: Mapped[str] = mapped_column(String(36), default="")
    skill_id: Mapped[str] = mapped_column(String(36))
    agent_id: Mapped[str] = mapped_column(String(128))
    tool_name: Mapped[str] = mapped_column(String(128))
    mutated_code: Mapped[str] = mapped_column(Text, default="")
    sandbox_status: Mapped[str] = mapped_column(String(16), default="pending")  # pending, passed, failed
    execution_error: Mapped[str] = mapped_column(Text, default="")
    # faster, mend: which differences from its parent are a fault; empty where an earlier release wrote it.
    purpose: Mapped[str] = mapped_column(String(16), default="", server_default="")
    provenance: Mapped[Json] = mapped_column(JSON, default=dict)
    examples: Mapped[list[Json]] = mapped_column(JSON, default=list)  # results on each known input
    # Seconds and correct inputs of the runs in turns, {"mutation", "parent"}: what is compared, also after a crash.
    measurements: Mapped[Json | None] = mapped_column(JSON, default=None)
    generated: Mapped[Json | None] = mapped_column(JSON, default=None)  # how it did on inputs that nobody gave
    overfit: Mapped[str] = mapped_column(String(16), default="")
    variant_id: Mapped[str | None] = mapped_column(String(36), default=None)
    time_ratio: Mapped[float] = mapped_column(default=0.0)
    time_ratio_low: Mapped[float] = mapped_column(default=0.0, server_default="0")
    time_ratio_high: Mapped[float] = mapped_column(default=0.0, server_default="0")
    fitness_delta: Mapped[float] = mapped_column(default=0.0)
    outcome: Mapped[str] = mapped_column(String(16), default="")  # "", in_review, canary, promoted, discarded
    outcome_reason: Mapped[str] = mapped_column(Text, default="")
    review_id: Mapped[str | None] = mapped_column(String(36), default=None)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class ExperimentRow(TenantScoped, Base):
    """A research experiment. `steps` holds its rounds, so that a crash goes on after the last one stored."""

    __tablename__ = "experiments"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index("ix_experiments_state", "state"),
        # Rows are long, and most are over.
        Index(
            "ix_experiments_unfinished",
            "tenant_id",
            "id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(128))
    skill_id: Mapped[str] = mapped_column(String(36))
    skill_version: Mapped[str] = mapped_column(String(32))
    agent_id: Mapped[str] = mapped_column(String(128))
    budget: Mapped[Json] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), default="running")  # running, succeeded, cancelled, failed
    stop_reason: Mapped[str] = mapped_column(Text, default="")
    steps: Mapped[list[Json]] = mapped_column(JSON, default=list)
    best_mutation_id: Mapped[str] = mapped_column(String(36), default="")
    tokens_used: Mapped[int] = mapped_column(LargeInteger, default=0)
    cost_usd: Mapped[float] = mapped_column(default=0.0)
    # How it searches, and by what it scores where it is not for a skill.
    plan: Mapped[Json] = mapped_column(JSON, default=dict)
    objective: Mapped[Json | None] = mapped_column(JSON, default=None)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(Moment, default=None)


class LlmSpendingRow(TenantScoped, Base):
    """What a tenant has spent on language models on a UTC day, calls in flight at the most that they can cost."""

    __tablename__ = "llm_spending"
    __table_args__ = (UniqueConstraint("tenant_id", "day"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    day: Mapped[str] = mapped_column(String(10))  # 2026-03-01
    calls: Mapped[int] = mapped_column(LargeInteger, default=0)
    tokens: Mapped[int] = mapped_column(LargeInteger, default=0)
    nanousd: Mapped[int] = mapped_column(LargeInteger, default=0)  # billionths of a US dollar


class IndividualRow(TenantScoped, Base):
    """A program that an experiment made, and what was found of it: the experiment's checkpoint, once a step.

    What is no program, or was there before, is kept without its code.
    """

    __tablename__ = "experiment_individuals"
    __table_args__ = (UniqueConstraint("tenant_id", "experiment_id", "number"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=uuid7)
    experiment_id: Mapped[str] = mapped_column(String(36))
    number: Mapped[int]
    step: Mapped[int]
    island: Mapped[int]
    parent: Mapped[int]
    operator: Mapped[str] = mapped_column(String(128), default="")
    offer: Mapped[Json] = mapped_column(JSON)  # code, note, tokens, cost_usd, prompt_hash
    evaluation: Mapped[Json] = mapped_column(JSON)  # stage, fitness, quality, latency_s, memory_bytes, feedback
    digest: Mapped[str] = mapped_column(String(32), default="")
    size: Mapped[int] = mapped_column(default=0)
    novelty: Mapped[float] = mapped_column(default=0.0)
