"""The advisor's rules: figures in, guidance out. Each rule is a plain function of the figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

FEW_RUNS = 10
HIGH_FAILURE_RATE = 0.1
PLATEAU = 3
DEAR_TOKENS_PER_RUN = 5000
SLOW_S = 5.0
SLOWER = 1.5
TREND_DAYS = 14


class Source(StrEnum):
    """Who wrote a guidance's words."""

    RULES = "rules"
    LLM = "llm"


class RiskKind(StrEnum):
    """What could go wrong."""

    FAILURE_RATE = "failure rate"
    PLATEAU = "plateau"
    OVERFIT = "overfit"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Risk:
    """One thing that could go wrong: how bad, in [0, 1], and the figures in a sentence and by name."""

    kind: RiskKind
    severity: float
    detail: str
    numbers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on a UTC day (`2026-03-01`): runs, and candidates that were run on their examples."""

    day: str
    executions: int = 0
    succeeded: int = 0
    mean_seconds: float = 0.0
    tokens: int = 0
    scored: int = 0
    mean_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a skill, or of a tenant's skills.

    `overfit_candidates` and `overfit_mutations` passed what the proposer saw and failed what it did not;
    `fruitless_in_a_row` is how many of the latest mutations brought nothing, since the last that did; `proposal_tokens`
    is what writing took.
    """

    executions: int = 0
    failed_executions: int = 0
    median_execution_seconds: float = 0.0
    tokens: int = 0
    mutations: int = 0
    passed_mutations: int = 0
    promoted_mutations: int = 0
    waiting_mutations: int = 0
    fruitless_in_a_row: int = 0
    candidates: int = 0
    overfit_candidates: int = 0
    overfit_mutations: int = 0
    proposal_tokens: int = 0
    open_opportunities: int = 0
    trend: tuple[Day, ...] = ()

    @property
    def failure_rate(self) -> float:
        return _share(self.failed_executions, self.executions)


@dataclass(frozen=True, slots=True)
class Guidance:
    """What to do next, how ready the learning is to be left alone (0 to 100), and the risks, worst first."""

    text: str
    readiness: int
    risks: tuple[Risk, ...]
    figures: Figures
    next_steps: tuple[str, ...] = ()
    source: Source = Source.RULES
    fallback_reason: str = ""


def failure_rate_risk(figures: Figures) -> Risk | None:
    """Too many runs fail, or too many rewrites do."""
    runs = figures.failure_rate
    rewrites = 1 - _share(figures.passed_mutations, figures.mutations) if figures.mutations >= PLATEAU else 0.0
    worst = max(runs, rewrites / 2)
    if worst <= HIGH_FAILURE_RATE:
        return None
    detail = (
        f"{figures.failed_executions} of {figures.executions} runs failed ({runs:.0%}); "
        f"{figures.mutations - figures.passed_mutations} of {figures.mutations} rewrites did not pass"
    )
    numbers = (
        ("runs", figures.executions),
        ("failed runs", figures.failed_executions),
        ("rewrites", figures.mutations),
        ("rewrites that did not pass", figures.mutations - figures.passed_mutations),
    )
    return Risk(RiskKind.FAILURE_RATE, min(1.0, 2 * worst), detail, numbers)


def plateau_risk(figures: Figures) -> Risk | None:
    """The last rewrites brought nothing."""
    if figures.fruitless_in_a_row < PLATEAU:
        return None
    detail = f"the last {figures.fruitless_in_a_row} rewrites brought nothing"
    numbers = (("fruitless rewrites in a row", figures.fruitless_in_a_row), ("rewrites", figures.mutations))
    return Risk(RiskKind.PLATEAU, min(1.0, figures.fruitless_in_a_row / (2 * PLATEAU)), detail, numbers)


def overfit_risk(figures: Figures) -> Risk | None:
    """Candidates and rewrites pass what proposers see and fail what they do not."""
    overfit = figures.overfit_candidates + figures.overfit_mutations
    if not overfit:
        return None
    share = _share(overfit, figures.candidates + figures.mutations)
    detail = (
        f"{figures.overfit_candidates} of {figures.candidates} candidates and {figures.overfit_mutations} of "
        f"{figures.mutations} rewrites ({share:.0%}) passed what their proposer saw and failed what it did not"
    )
    numbers = (("candidates", figures.candidates), ("overfit candidates", figures.overfit_candidates))
    return Risk(RiskKind.OVERFIT, share, detail, numbers)


def cost_risk(figures: Figures) -> Risk | None:
    """Runs, or the writing of rewrites, use many tokens."""
    a_run = _share(figures.tokens, figures.executions)
    a_proposal = _share(figures.proposal_tokens, figures.mutations + figures.candidates)
    worst = max(a_run, a_proposal / 10)
    if worst <= DEAR_TOKENS_PER_RUN:
        return None
    detail = f"{a_run:,.0f} tokens a run, {a_proposal:,.0f} a proposal"
    numbers = (("tokens a run", a_run), ("tokens a proposal", a_proposal))
    return Risk(RiskKind.COST, min(1.0, worst / (4 * DEAR_TOKENS_PER_RUN)), detail, numbers)


RISK_RULES: tuple[Callable[[Figures], Risk | None], ...] = (
    failure_rate_risk,
    plateau_risk,
    overfit_risk,
    cost_risk,
)


def risks_of(figures: Figures) -> tuple[Risk, ...]:
    """What could go wrong, worst first."""
    found = [risk for rule in RISK_RULES if (risk := rule(figures)) is not None]
    return tuple(sorted(found, key=lambda risk: -risk.severity))


def readiness_of(figures: Figures, risks: tuple[Risk, ...]) -> int:
    """How ready the learning is to be left alone, 0 to 100.

    Half for enough runs (ten), a quarter for how few of them fail, a quarter for rewrites that were promoted or, before
    the first rewrite, for none being asked for. Each risk takes a quarter of its severity away.
    """
    if not figures.executions:
        return 0
    enough = min(1.0, figures.executions / FEW_RUNS)
    sound = 1 - figures.failure_rate
    proven = _share(figures.promoted_mutations, figures.mutations) if figures.mutations else 1.0
    score = 0.5 * enough + 0.25 * sound + 0.25 * proven - sum(0.25 * risk.severity for risk in risks)
    return round(100 * min(1.0, max(0.0, score)))


def too_few_runs(figures: Figures) -> str:
    """Advice while there is little to go by."""
    if figures.executions >= FEW_RUNS:
        return ""
    return f"Let agents run it more: {figures.executions} runs say little; {FEW_RUNS} say something."


def reviews_wait(figures: Figures) -> str:
    """Advice while people have decisions to make."""
    if not figures.waiting_mutations:
        return ""
    return f"Decide about {_counted(figures.waiting_mutations, 'rewrite')} that won and wait for review."


def opportunities_wait(figures: Figures) -> str:
    """Advice while nobody started what could be better."""
    if not figures.open_opportunities:
        return ""
    return f"Start the optimization of {_counted(figures.open_opportunities, 'opportunity', 'opportunities')}."


def failures_first(figures: Figures) -> str:
    """Advice where runs fail too often."""
    if not figures.executions or figures.failure_rate <= HIGH_FAILURE_RATE:
        return ""
    return f"Mend it before making it faster: {figures.failure_rate:.0%} of the runs fail."


def slow_runs(figures: Figures) -> str:
    """Advice where the median run is slow."""
    if figures.median_execution_seconds <= SLOW_S:
        return ""
    return f"Run an experiment: the median run takes {figures.median_execution_seconds:.1f} s."


def stop_on_plateau(figures: Figures) -> str:
    """Advice where rewriting brings nothing more."""
    if plateau_risk(figures) is None:
        return ""
    return "Report the calls that are slow, with their inputs, or stop rewriting: the last rewrites brought nothing."


def more_examples(figures: Figures) -> str:
    """Advice where candidates fit only what their proposer saw."""
    if overfit_risk(figures) is None:
        return ""
    return "Give tasks more examples: candidates fit the few they have."


def cut_cost(figures: Figures) -> str:
    """Advice where tokens go."""
    if cost_risk(figures) is None:
        return ""
    return "Lower the token use: cache answers, or let the skill ask less."


def getting_worse(figures: Figures) -> str:
    """Advice where the later half of the days had clearly fewer successes, or slower runs, than the earlier one."""
    days = [day for day in figures.trend if day.executions]
    earlier, later = days[: len(days) // 2], days[len(days) // 2 :]
    if min(_runs(earlier), _runs(later)) < FEW_RUNS:
        return ""
    before, after = _success(earlier), _success(later)
    if after < before - HIGH_FAILURE_RATE:
        return f"Look what changed since {later[0].day}: {after:.0%} of the runs succeed since, {before:.0%} before."
    slower = _seconds(later) / max(_seconds(earlier), 1e-9)
    if slower > SLOWER:
        return f"Look what changed since {later[0].day}: runs take {slower:.1f} times as long as before."
    return ""


ADVICE_RULES: tuple[Callable[[Figures], str], ...] = (
    reviews_wait,
    failures_first,
    getting_worse,
    opportunities_wait,
    slow_runs,
    stop_on_plateau,
    more_examples,
    cut_cost,
    too_few_runs,
)


def guidance_for(figures: Figures) -> Guidance:
    """Guidance by all rules; nothing to do is said as well."""
    risks = risks_of(figures)
    advice = [text for rule in ADVICE_RULES if (text := rule(figures))]
    text = " ".join(advice) or "Nothing to do: it runs well, and nothing waits."
    return Guidance(text, readiness_of(figures, risks), risks, figures, tuple(advice))


def _runs(days: Sequence[Day]) -> int:
    return sum(day.executions for day in days)


def _success(days: Sequence[Day]) -> float:
    return _share(sum(day.succeeded for day in days), _runs(days))


def _seconds(days: Sequence[Day]) -> float:
    return _share(sum(day.mean_seconds * day.executions for day in days), _runs(days))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
