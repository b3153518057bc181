"""The programs that pass every visible example, and which of them to believe."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autodev_learning.examples import called_names
from autodev_learning.proposers.analysis.code import idle_statements
from autodev_learning.proposers.bench import Bench
from autodev_learning.proposers.candidates import Candidate
from autodev_learning.proposers.expectations import Expectations
from autodev_learning.proposers.probes import Poll, Voter, probes
from autodev_learning.trial import CallOutcome

MORE_PROGRAMS = 800
PATIENCE_WITH_REWRITING = 4000
"""So many programs are tried for a smaller change where a function written anew passes."""
ERROR_BITS = 12.0
KIND_BITS = 12.0
CHANGE_BITS = 14.0
"""Times the share of answers that change beyond the share of examples that the program gets wrong."""
CONSTANT_BITS = 8.0
IDLE_BITS = 6.0
"""For code that cannot be reached any more: who takes a function away passes what does not ask for it."""
WITNESS_BITS = 6.0
MOST_WITNESSES = 6
ATTEMPT_BITS = 20.0
LEAST_ATTEMPTS = 3
"""So many attempts at a task have something to say about what is right where no example does."""
LEAST_PROBES = 2
LIKELY = 0.6
LIKELY_OF_ONE_ANSWER = 0.8

Behaviour = tuple[CallOutcome, ...]


@dataclass
class Solutions:
    """Collects a function's solutions until there are enough to choose from."""

    bench: Bench
    goal: Sequence[int]
    calls: tuple[str, ...]
    expectations: Expectations
    before: Behaviour
    share_wrong: float
    idle: int
    known_wrong: frozenset[Behaviour]
    kept: list[Candidate]
    poll: Poll | None = None
    found: dict[Behaviour, list[Candidate]] = field(default_factory=dict)
    tried_at_first: int | None = None
    witnesses: list[Behaviour] = field(default_factory=list)
    started_at: int = 0

    @classmethod
    async def start(cls, bench: Bench, entry: str, goal: Sequence[int], pool: Sequence[Candidate]) -> "Solutions":
        examples = [bench.problem.visible[place] for place in goal]
        calls = tuple(call for call in probes(examples, 40) if entry in called_names([call]))
        outcomes = await bench.probe(pool, calls)
        everything = range(len(bench.problem.visible))
        wrong = {
            given for each, given in zip(pool, outcomes, strict=True) if each.depth == 0 and each.passes(everything)
        }
        passing = [(each, given) for each, given in zip(pool, outcomes, strict=True) if each.passes(goal)]
        kept = [each for each, given in passing if not wrong and not _is_constant(given)]
        found = {given: [each] for each, given in passing if given not in wrong}
        best = max(range(len(pool)), key=lambda at: pool[at].score(goal))
        poll = None
        if len(pool) >= LEAST_ATTEMPTS:
            trusts = [each.score(goal) ** 2 for each in pool]
            voters = [Voter(given, (trust,) * len(calls)) for given, trust in zip(outcomes, trusts, strict=True)]
            poll = Poll.of(voters, len(calls), examples)
        return cls(
            bench,
            goal,
            calls,
            Expectations.of(examples, [each.code for each in pool]),
            outcomes[best],
            sum(pool[best].near[place] != 1.0 for place in goal) / max(1, len(goal)),
            max(idle_statements(each.code) for each in pool),
            frozenset(wrong),
            kept,
            poll,
            found,
            started_at=bench.tried,
        )

    async def add(self, passing: Sequence[Candidate]) -> list[tuple[Candidate, Behaviour]]:
        """Take what passes every example of the goal; give those that fail on a probe, with what they gave."""
        unfinished = []
        for candidate, behaviour in zip(passing, await self.bench.probe(passing, self.calls), strict=True):
            if behaviour in self.known_wrong or not self.answers(behaviour):
                unfinished.append((candidate, behaviour))
            if behaviour not in self.known_wrong:
                self.found.setdefault(behaviour, []).append(self._charged(candidate))
                if candidate.is_rewritten:
                    self.witnesses.append(behaviour)
                elif self.tried_at_first is None:
                    self.tried_at_first = self.bench.tried
        return unfinished

    def _charged(self, candidate: Candidate) -> Candidate:
        """The candidate, dearer by what it leaves without use."""
        idle = idle_statements(candidate.code) > self.idle
        return replace(candidate, cost=candidate.cost + IDLE_BITS) if idle else candidate

    def answers(self, behaviour: Behaviour) -> bool:
        """Whether the probes are answered, not all alike, by values of the examples' kinds, as a witness does."""
        if _is_constant(behaviour):
            return False
        expected = self.expectations
        well_formed = all(expected.is_usual(outcome) or expected.is_refusal(outcome) for outcome in behaviour)
        return well_formed and self._disagreement(behaviour) == 0.0

    def _disagreement(self, behaviour: Behaviour) -> float:
        """The share of probes on which the nearest of the simplest rewritings gives something else; 0 without any."""
        return min(
            (
                sum(one != other for one, other in zip(witness, behaviour, strict=True)) / max(1, len(behaviour))
                for witness in self.witnesses[:MOST_WITNESSES]
            ),
            default=0.0,
        )

    @property
    def enough(self) -> bool:
        first = self.tried_at_first
        if first is None and self.witnesses:
            return self.bench.tried >= self.started_at + PATIENCE_WITH_REWRITING
        if first is None or self.bench.tried < 1.3 * first + MORE_PROGRAMS:
            return False
        patient = self.bench.tried < 2 * first + 4 * MORE_PROGRAMS
        return not patient or any(self.answers(behaviour) for behaviour in self.found)

    @property
    def has_single(self) -> bool:
        """Whether one edit makes a program that passes."""
        return any(each.depth == 1 and not each.is_rewritten for found in self.found.values() for each in found)

    def shares(self) -> list[tuple[float, Behaviour]]:
        """How likely each behaviour is that is no mere guess beyond another, the likeliest first; together 1."""
        bits = {behaviour: self._bits(behaviour) for behaviour in self.found}
        least = min(bits.values(), default=0.0)
        weights = {behaviour: 2 ** (least - each) for behaviour, each in bits.items()}
        for guess, plainer in self._guesses_beyond().items():
            weights[plainer] += weights.pop(guess)
        total = sum(weights.values())
        return sorted(((weight / total, behaviour) for behaviour, weight in weights.items()), key=lambda pair: -pair[0])

    def _guesses_beyond(self) -> dict[Behaviour, Behaviour]:
        """The behaviours that only guess, each with the plainest one beyond which it does: it speaks for that one."""
        plain = [behaviour for behaviour in self.found if self._fails_only_as_before(behaviour)]
        plainest = [each for each in plain if not any(self._guesses(each, other) for other in plain)]
        return {
            behaviour: plainer for behaviour in self.found for plainer in plainest if self._guesses(behaviour, plainer)
        }

    def _guesses(self, behaviour: Behaviour, plainer: Behaviour) -> bool:
        """Whether its programs are those of a plainer one, edited on only to answer where that fails.

        Nobody asked for these answers: a program that fails there, as it always did, is not mended by them.
        """
        return (
            behaviour != plainer
            and _extends(behaviour, plainer)
            and _go_on_from(self.found[behaviour], self.found[plainer])
        )

    def best(self) -> list[Candidate]:
        """One program of each behaviour, the least edited, the likeliest behaviour first."""
        return [min(self.found[behaviour], key=lambda each: each.cost) for behaviour in self._ranked()[0][:4]]

    def _ranked(self) -> tuple[list[Behaviour], float]:
        """The behaviours, the one to believe first, and how likely that is.

        Repairs that differ only where a plainer one fails, as the program always did, guess at an answer that nobody
        asked for: where none of them is likely by itself, the plainer one stands for all.
        """
        shares = self.shares()
        order, likely = [behaviour for _, behaviour in shares], shares[0][0] if shares else 0.0
        if not shares or likely >= self._enough_share:
            return order, likely
        together = [
            (sum(share for share, other in shares if _extends(other, plain)), plain)
            for plain in order
            if self._fails_only_as_before(plain)
        ]
        likeliest = max(together, key=lambda pair: pair[0], default=None)
        if likeliest is None or likeliest[0] < self._enough_share:
            return order, likely
        return [likeliest[1], *(each for each in order if each != likeliest[1])], likeliest[0]

    def _fails_only_as_before(self, behaviour: Behaviour) -> bool:
        failed = [old.value is None for old, new in zip(self.before, behaviour, strict=True) if new.value is None]
        return bool(failed) and all(failed)

    @property
    def _enough_share(self) -> float:
        answers = {self.bench.problem.visible[place].expected for place in self.goal}
        return LIKELY if len(answers) > 1 else LIKELY_OF_ONE_ANSWER

    def _bits(self, behaviour: Behaviour) -> float:
        """The description length of a behaviour: of the edits that lead to it, and of what speaks against it."""
        candidates = _shortest(self.found[behaviour])
        least = min(each.cost for each in candidates)
        bits = least - math.log2(sum(2 ** (least - each.cost) for each in candidates))
        return bits + sum(self.doubts(behaviour).values())

    def doubts(self, behaviour: Behaviour) -> dict[str, float]:
        """What speaks against a behaviour, in bits."""
        size = max(1, len(behaviour))
        failed = [outcome for outcome in behaviour if outcome.value is None]
        errors = sum(not self.expectations.is_refusal(outcome) for outcome in failed)
        strange = sum(outcome.value is not None and not self.expectations.is_usual(outcome) for outcome in behaviour)
        changed = sum(
            self.expectations.is_usual(old) and old != new for old, new in zip(self.before, behaviour, strict=True)
        )
        disagreement = self._disagreement(behaviour)
        return {
            "errors": ERROR_BITS * (errors > 0) + ERROR_BITS * len(failed) / size,
            "kinds": KIND_BITS * (strange > 0) + KIND_BITS * strange / size,
            "changed": CHANGE_BITS * max(0.0, changed / size - self.share_wrong),
            "witnesses": WITNESS_BITS * (disagreement > 0) + 2 * WITNESS_BITS * disagreement,
            "constant": CONSTANT_BITS * _is_constant(behaviour),
            "attempts": ATTEMPT_BITS * (1 - self.poll.agreement(behaviour)) if self.poll else 0.0,
        }

    @property
    def doubt(self) -> str:
        """Why the likeliest behaviour is not to be believed; empty where it is."""
        order, likely = self._ranked()
        if not order or likely >= self._enough_share:
            return ""
        return f"{len(order)} repairs that behave differently pass, and the likeliest is so by {likely:.0%} only"


def _shortest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that do nothing to another one besides: what makes no difference can be done in many ways."""
    known = {each.edits for each in candidates}
    return [each for each in candidates if not any(each.edits[:depth] in known for depth in range(each.depth))]


def _extends(behaviour: Behaviour, plain: Behaviour) -> bool:
    """Whether a behaviour is another one wherever that does not fail."""
    return all(one.value is None or one == other for one, other in zip(plain, behaviour, strict=True))


def _go_on_from(candidates: Sequence[Candidate], plainer: Sequence[Candidate]) -> bool:
    """Whether each of the programs is one of the plainer ones, edited further."""
    known = {each.edits for each in plainer}
    return all(any(each.edits[:depth] in known for depth in range(each.depth)) for each in candidates)


def _is_constant(behaviour: Behaviour) -> bool:
    """Whether the same is given on every probe, and there are enough to tell."""
    return len(behaviour) > LEAST_PROBES and len({outcome.value for outcome in behaviour}) == 1
