"""What an operator can set, as AUTODEV_LEARNING_<NAME>."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from autodev_learning.llm_settings import LlmSettings
from autodev_runtime.targets import Target


class LearningSettings(LlmSettings):
    """See docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="AUTODEV_LEARNING_")

    port: int = Field(default=50053, ge=0, le=65535)
    capability_address: Target = "127.0.0.1:50052"
    fitness_address: Target = "127.0.0.1:50054"
    sandbox_address: Target = "127.0.0.1:50055"
    default_timeout_s: float = Field(default=180.0, gt=0)
    """Longer than a proposal by every proposer takes."""
    patience_s: float = Field(default=300.0, ge=0)
    """How long work that an event started waits for a service that is away, before the event is given back."""

    pattern_threshold: int = Field(default=2, ge=1)
    """Similar failures that make a pattern."""
    pattern_window: timedelta = Field(default=timedelta(days=7), gt=timedelta(0))
    """How far apart in time they may be."""
    keep_days: int | None = Field(default=None, ge=1, le=36_500)
    """For how many days episodes and runs are kept that nothing is made of; unset: for ever. See docs/operations.md."""

    max_proposals: int = Field(default=2, ge=1)
    """Proposals at work at a time, of all tenants, which get the places in turns."""
    proposal_seconds: float = Field(default=20.0, gt=0)
    """Wall time of one proposer on one problem."""
    proposal_programs: int = Field(default=20_000, ge=1)
    """Programs that one proposer may try on one problem."""
    trial_seconds: float = Field(default=0.4, gt=0)
    """Time of one program on all of a problem's visible examples, while a proposer searches."""
    max_failing_programs: int = Field(default=64, ge=1)
    """Failing programs that a proposer starts from."""
    max_cases: int = Field(default=256, ge=0)
    """Programs of successful episodes that a proposer gets."""

    validation_seconds: float = Field(default=20.0, gt=0, le=50)
    """Time of one candidate on all its examples."""
    canary_share: float = Field(default=0.2, ge=0, le=1)
    """The share of a skill's executions that run its canary version, while it has one; a workspace may set its own."""

    slow_run_seconds: float = Field(default=5.0, ge=0)
    """A run of a skill that takes longer is an opportunity to make it faster."""
    dear_run_tokens: int = Field(default=5000, ge=0)
    """A run that uses more language-model tokens is an opportunity too."""
    recorded_inputs: int = Field(default=24, ge=0, le=200)
    """Calls of a skill's runs that mutations are compared on, besides the skill's examples: so many, the latest."""
    mutation_candidates: int = Field(default=48, ge=1)
    """Speed-ups that are tried and timed for one mutation."""
    mutation_seconds: float = Field(default=60.0, gt=0)
    """Wall time of trying them."""
    mutation_call_seconds: float = Field(default=20.0, gt=0, le=45)
    """How long one call may take in a measured run."""
    comparison_rounds: int = Field(default=12, ge=1)
    """Runs of a mutation and its parent in turns: so many each, ..."""
    comparison_seconds: float = Field(default=60.0, gt=0)
    """... while this lasts, and three in any case."""
    skill_signing_key_file: Path | None = None
    """PEM of the Ed25519 key that exported skills are signed by; unset: they are not signed."""
    skill_trusted_keys_file: Path | None = None
    """PEM of the Ed25519 public keys, one after the other, whose packages may be imported; unset: none is trusted."""
    experiment_batch: int = Field(default=16, ge=1, le=512)
    """Programs a step of an experiment, where the caller states none."""
    experiment_sandboxes: int = Field(default=2, ge=1, le=64)
    """Sandboxes that one experiment has at work at once."""
    experiment_programs: int = Field(default=20_000, ge=1)
    """Programs that one experiment may make."""
    experiment_code_bytes: int = Field(default=100_000_000, ge=1)
    """Bytes of code in all of these together, each as long as the program that it starts from."""
    max_experiments: int = Field(default=4, ge=1)
    """Experiments at work at a time in a replica, of all tenants."""
    max_experiments_per_tenant: int = Field(default=2, ge=1)
    """Experiments of one tenant that are not over, in all replicas. Less than `max_experiments`: then one tenant never
    has every place of a replica."""
    canary_good_runs: int = Field(default=20, ge=1)
    """Good runs after which a version on trial becomes the one that agents run, if it fails as seldom."""
    canary_most_runs: int = Field(default=100, ge=1, le=1000)
    """Runs on trial after which a version that did not become active is rolled back."""
    canary_error: float = Field(default=0.05, gt=0, lt=1)
    """How often, at most, a version that fails as often as the active one is rolled back for failing more often."""
    canary_margin: float = Field(default=0.05, ge=0, lt=1)
    """How much above the active version's failure rate that of a version on trial may be for it to become active."""

    generated_inputs: int = Field(default=24, ge=0, le=200)
    """Inputs that nobody gave, made from the examples' types, that a candidate or mutation is tried on. 0: none."""
    generated_seconds: float = Field(default=4.0, gt=0, le=40)
    """Time of one program on all of them."""

    @model_validator(mode="after")
    def _patterns_are_found_first(self) -> Self:
        if self.keep_days is not None and timedelta(days=self.keep_days) < self.pattern_window:
            raise ValueError("keep_days must be no shorter than pattern_window, or no pattern would be found over that")
        return self
