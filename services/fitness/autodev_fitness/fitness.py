"""Workflow variants: making, scoring and comparing them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any, TypeVar

from autodev_fitness.comparison import ComparisonRules, Runs, compare
from autodev_fitness.explanation import Explanation, explain
from autodev_fitness.functions import DEFAULT, FitnessFunctions
from autodev_fitness.score_comparison import ScoreComparison, Told, compare_scores
from autodev_fitness.scoring import ExternalSignal, ProxySignals, total_score
from autodev_fitness.signal_ids import stated_id
from autodev_fitness.store import FitnessStore, Listed, Transaction
from autodev_fitness.variants import Cause, Compared, Origin, Scored, Variant
from autodev_fitness.weights import UNRECORDED, NumberedWeights, WeightsInUse
from autodev_runtime.errors import AutoDevError, FailedPrecondition, Unavailable
from autodev_runtime.repeating import Conflict, repeatable
from autodev_runtime.request_ids import RequestId, reused
from autodev_sdk.events import uuid7
from autodev_sdk.extensions import FitnessFunction

NO_CAUSE = Cause()

Made = TypeVar("Made", Variant, Compared)


class FunctionAway(Exception):
    """A fitness function gives no answer now: what it scored cannot be scored again yet."""

    def __init__(self, function: str, message: str) -> None:
        super().__init__(message)
        self.function = function


log = logging.getLogger(__name__)


class Approval(Enum):
    """What becomes of a person's approval when a first run is scored."""

    AS_STATED = auto()
    AS_IT_IS = auto()


@dataclass(frozen=True, slots=True)
class FitnessRules:
    """What the settings decide."""

    functions: FitnessFunctions
    weights: WeightsInUse
    comparison: ComparisonRules
    most_signals: int


class Fitness:
    """The service's rules."""

    def __init__(self, store: FitnessStore, rules: FitnessRules, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    @repeatable
    async def create(
        self,
        tenant: str,
        request_id: RequestId,
        parent_variant_id: str,
        agent_id: str,
        workflow_definition: Mapping[str, Any],
        fitness_function: str,
        origin: Origin | None = None,
    ) -> Variant:
        """Make a pending variant, or give the one that the request made. Raises NotFound, FailedPrecondition."""
        asked = parent_variant_id, agent_id, workflow_definition, fitness_function or DEFAULT, origin
        async with self._store.writing(tenant) as transaction:
            if (earlier := await transaction.variant_of(request_id)) is not None:
                return _first(earlier, asked == earlier.asked)
            for relative in filter(None, (parent_variant_id, origin.mate_variant_id if origin is not None else "")):
                await transaction.variant(relative)
            variant = Variant(
                id=uuid7(),
                parent_variant_id=parent_variant_id,
                agent_id=agent_id,
                workflow_definition=workflow_definition,
                fitness_function=self._rules.functions.named(fitness_function).name,
                created_at=self._clock(),
                origin=origin,
            )
            if not await transaction.add_variant(variant, request_id.kept):
                raise _in_progress()
            return variant

    async def variant(self, tenant: str, variant_id: str) -> Variant:
        """The variant. Raises NotFound."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.variant(variant_id)

    async def variants(
        self, tenant: str, agent_id: str, before: str, limit: int, request_id: RequestId | None = None
    ) -> Listed:
        """Variants, newest first, older than the one with the id `before`; of one agent or request, or all."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.variants(agent_id, before, limit, request_id)

    async def top(self, tenant: str, limit: int) -> list[Variant]:
        """The fittest variants, best first; ties by age, oldest first."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.top(limit)

    async def lineage(self, tenant: str, variant_id: str) -> list[Variant]:
        """The variant and its ancestors, the root last. Raises NotFound."""
        async with self._store.reading(tenant) as transaction:
            return await transaction.lineage(variant_id)

    @repeatable
    async def evaluate_initial_proxy(
        self,
        tenant: str,
        variant_id: str,
        signals: ProxySignals,
        approval: Approval = Approval.AS_STATED,
        cause: Cause = NO_CAUSE,
    ) -> Variant:
        """Score a first run; again: replace that score and keep the signals.

        Raises NotFound; FailedPrecondition, Unavailable: the variant's function gave no score, and nothing changed.
        """
        seen = await self.variant(tenant, variant_id)
        if approval is Approval.AS_IT_IS:
            signals = replace(signals, user_approved=seen.is_approved)
        name = seen.fitness_function
        # Before the transaction: a function of the user's own may take its time.
        score = await self._rules.functions.score(name, tenant, signals)
        async with self._store.writing(tenant) as transaction:
            variant = await transaction.variant_to_change(variant_id)
            if approval is Approval.AS_IT_IS and variant.is_approved != seen.is_approved:
                raise _scored_anew()
            run = replace(variant, proxy_signals=signals, proxy_score=score, function_version=self._version_of(name))
            return await self._score(transaction, variant, run, cause)

    @repeatable
    async def approve(self, tenant: str, variant_id: str, cause: Cause) -> Variant:
        """Score a variant again as one that a person approved; again: change nothing.

        Raises NotFound; FailedPrecondition, Unavailable: the variant's function gave no score, and nothing changed.
        """
        seen = await self.variant(tenant, variant_id)
        known = seen.proxy_signals or ProxySignals()
        if known.user_approved:
            return seen
        approved = replace(known, user_approved=True)
        score = await self._rules.functions.score(seen.fitness_function, tenant, approved)
        async with self._store.writing(tenant) as transaction:
            variant = await transaction.variant_to_change(variant_id)
            if variant.proxy_signals != seen.proxy_signals:
                raise _scored_anew()
            version = self._version_of(seen.fitness_function)
            run = replace(variant, proxy_signals=approved, proxy_score=score, function_version=version)
            return await self._score(transaction, variant, run, cause)

    @repeatable
    async def evaluate_delayed(
        self, tenant: str, variant_id: str, signals: Sequence[ExternalSignal]
    ) -> tuple[Variant, int]:
        """Adjust a score by signals. Returns the variant and how many signals were new. Raises NotFound."""
        async with self._store.writing(tenant) as transaction:
            variant = await transaction.variant_to_change(variant_id)
            numbered, moment = await self._weights_of(transaction, variant), self._clock()
            # Before callers' ids were kept apart they were kept as stated, and what counted counts once.
            known = {each.id for each in variant.external_signals}
            accepted = [
                signal
                for signal in signals
                if stated_id(signal.id) not in known
                and await transaction.add_signal(variant_id, signal, numbered.adjustment(signal), moment)
            ]
            if not accepted:
                return variant, 0
            if len(variant.external_signals) + len(accepted) > self._rules.most_signals:
                raise FailedPrecondition(
                    f"a variant may have {self._rules.most_signals} signals", reason="TOO_MANY_SIGNALS"
                )
            heard = replace(variant, external_signals=(*variant.external_signals, *accepted))
            return await self._score(transaction, variant, heard, NO_CAUSE, numbered), len(accepted)

    @repeatable
    async def compare(
        self,
        tenant: str,
        request_id: RequestId,
        variant_id: str,
        baseline_id: str,
        runs: tuple[Runs, Runs],
        mutation_id: str,
        cause: Cause = NO_CAUSE,
    ) -> Compared:
        """Compare a variant with the original by `runs` (the variant's, the original's) and their scores.

        Again: the first answer, though the runs were measured anew. Raises NotFound, FailedPrecondition.
        """
        asked = variant_id, baseline_id, mutation_id
        async with self._store.writing(tenant) as transaction:
            if (earlier := await transaction.comparison_of(request_id)) is not None:
                return _first(earlier, asked == earlier.asked)
            variant = await transaction.variant(variant_id)
            baseline = await transaction.variant(baseline_id)
            comparison = compare(*runs, self._rules.comparison)
            compared = Compared(
                variant_id=variant_id,
                baseline_variant_id=baseline_id,
                agent_id=variant.agent_id,
                mutation_id=mutation_id,
                time_ratio=comparison.time.median,
                time_ratio_low=comparison.time.low,
                time_ratio_high=comparison.time.high,
                fitness_delta=variant.fitness_score - baseline.fitness_score,
                wins=comparison.wins,
                explanation=comparison.explanation,
            )
            if not await transaction.add_comparison(compared, request_id.kept):
                raise _in_progress()
            transaction.announce(compared, cause)
            return compared

    @repeatable
    async def recalculate(self, tenant: str, variant_id: str) -> Variant:
        """Score what is known of a variant with the weights in use. Again: the same. Raises NotFound, FunctionAway."""
        async with self._store.reading(tenant) as transaction:
            known = await transaction.variant(variant_id)
        again = await self._run_again(tenant, known)
        async with self._store.writing(tenant) as transaction:
            variant = await transaction.variant_to_change(variant_id)
            if variant.last_evaluated_at is None or variant.proxy_signals != known.proxy_signals:
                # A call scored it meanwhile, with its replica's weights.
                return variant
            run = replace(variant, proxy_score=again.proxy_score, function_version=again.function_version)
            return await self._score(transaction, variant, run, NO_CAUSE)

    async def explain(self, tenant: str, variant_id: str) -> Explanation:
        """What a variant's score is made of. Raises NotFound."""
        async with self._store.reading(tenant) as transaction:
            variant = await transaction.variant(variant_id)
            heard = await transaction.heard(variant_id)
            return explain(variant, heard, await transaction.weights(variant.weights_version or UNRECORDED))

    async def compare_scores(
        self, tenant: str, variant_id: str, other_id: str
    ) -> tuple[ScoreComparison, Variant, Variant]:
        """Compare two variants by what both were told. Raises NotFound, and what the other's function raises."""
        async with self._store.reading(tenant) as transaction:
            variant, other = await transaction.variant(variant_id), await transaction.variant(other_id)
        weights = self._rules.weights.weights.signals
        told = [await self._told(tenant, each, other.fitness_function) for each in (variant, other)]
        return compare_scores(told[0], told[1], weights), variant, other

    def functions(self) -> list[FitnessFunction]:
        """The fitness functions, the built-in ones first."""
        return self._rules.functions.all()

    async def _run_again(self, tenant: str, variant: Variant) -> Variant:
        """The variant with its first run scored by its function as it is now."""
        if variant.proxy_signals is None:
            return variant
        name = variant.fitness_function
        try:
            score = await self._rules.functions.score(name, tenant, variant.proxy_signals)
        except Unavailable as error:
            raise FunctionAway(name, error.message) from None
        except AutoDevError as error:
            # A function that is gone or broken takes nothing away from what it gave.
            log.warning("variant %s keeps its first run's score: %s", variant.id, error.reason)
            return variant
        return replace(variant, proxy_score=score, function_version=self._version_of(name))

    def _version_of(self, function: str) -> str:
        return self._rules.functions.version_of(function)

    def _in_use(self) -> NumberedWeights:
        return NumberedWeights(self._rules.weights.version, self._rules.weights.weights)

    async def _weights_of(self, transaction: Transaction, variant: Variant) -> NumberedWeights:
        """Those that the variant's score is of, all of it, until it is computed again."""
        in_use = self._in_use()
        if variant.weights_version in (None, in_use.version):
            return in_use
        numbered = await transaction.weights(variant.weights_version or UNRECORDED)
        return numbered if numbered.weights is not None else NumberedWeights(UNRECORDED, in_use.weights)

    async def _told(self, tenant: str, variant: Variant, function: str) -> Told:
        shown = variant.proxy_signals
        proxy = await self._rules.functions.score(function, tenant, shown) if shown is not None else 0.0
        return Told(variant.id, proxy, {each.id: each for each in variant.external_signals}, variant.fitness_score)

    async def _score(
        self,
        transaction: Transaction,
        before: Variant,
        after: Variant,
        cause: Cause,
        numbered: NumberedWeights | None = None,
    ) -> Variant:
        weights = numbered or self._in_use()
        score = total_score(after.proxy_score, map(weights.adjustment, after.external_signals))
        scored = replace(after, fitness_score=score, last_evaluated_at=self._clock(), weights_version=weights.version)
        await transaction.save_score(scored)
        previous = before.fitness_score if before.last_evaluated_at is not None else None
        if score != previous:
            transaction.announce(Scored(after.id, after.agent_id, score, previous), cause)
        return scored


def _first(made: Made, for_the_same: bool) -> Made:
    if not for_the_same:
        raise reused()
    return made


def _scored_anew() -> Conflict:
    return Conflict("the variant was scored anew meanwhile", reason="VARIANT_CHANGED")


def _in_progress() -> Conflict:
    # Undoes the transaction. The caller's retry finds what the other call made.
    return Conflict("another call with this request_id is being served", reason="REQUEST_IN_PROGRESS")
