"""Inputs that nobody gave, made from the examples' calls: the third part of the proof, beside seen and held out.

The same seed and calls make the same inputs, whatever process, machine or replica makes them (decision 0035).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from random import Random

from autodev_learning.examples import call_key
from autodev_learning.proof.domains import Domain, Kind, domain_of
from autodev_learning.proof.templates import MOST_CALL_CHARACTERS, Template, templates, written

MOST_SAMPLES = 200
MOST_INPUT_CHARACTERS = MOST_CALL_CHARACTERS // 4
MOST_SAMPLE_CHARACTERS = 256 * 1024
"""Of all the calls together that inputs are made from: reading and writing one takes some microseconds a character."""
TRIES_PER_INPUT = 6
SHARES = ((Kind.WITHIN, 0.5), (Kind.EDGE, 0.3), (Kind.BEYOND, 0.2))


@dataclass(frozen=True)
class GeneratedCall:
    """One generated input, and how far it is from the examples."""

    call: str
    kind: Kind


@dataclass(frozen=True)
class _Source:
    template: Template
    domains: tuple[Domain, ...]

    def filled(self, values: Sequence[object]) -> str:
        """The call with these values; empty where it is too long with any."""
        return "" if self._is_too_long else self.template.filled(values)

    @cached_property
    def _is_too_long(self) -> bool:
        sample = self.template.samples[0]
        return len(self.template.filled(sample)) - sum(len(written(each)) for each in sample) > MOST_INPUT_CHARACTERS


def generated_calls(calls: Sequence[str], seed: str, count: int) -> tuple[GeneratedCall, ...]:
    """Make at most `count` calls like the given ones, none of which is given, those within the examples' ranges first.

    The wildest come last, because a program that does not end on two of them is tried on no other.
    """
    random = Random(f"generated:{seed}")
    samples = _samples(calls)
    sources = [
        _Source(each, tuple(domain_of(column) for column in zip(*each.samples, strict=True)))
        for each in templates(samples[:MOST_SAMPLES])
    ]
    taken = {*map(call_key, samples), *calls}
    made: list[GeneratedCall] = []
    for kind, share in SHARES:
        wanted = round(share * count) if kind is not Kind.BEYOND else count - len(made)
        made += _calls_of_kind(sources, random, kind, wanted, taken) if sources else []
    return tuple(made)


def _samples(calls: Sequence[str]) -> Sequence[str]:
    """The first of the calls, as many as have so many characters in all."""
    lengths = accumulate(map(len, calls))
    return calls[: sum(1 for length in lengths if length <= MOST_SAMPLE_CHARACTERS)]


def _calls_of_kind(
    sources: Sequence[_Source], random: Random, kind: Kind, wanted: int, taken: set[str]
) -> list[GeneratedCall]:
    made: list[GeneratedCall] = []
    drawn = (_call(sources[attempt % len(sources)], random, kind) for attempt in range(TRIES_PER_INPUT * wanted))
    for call in chain(_least_calls(sources) if kind is Kind.EDGE else (), drawn):
        if len(made) == wanted:
            break
        if 0 < len(call) <= MOST_INPUT_CHARACTERS and (key := call_key(call)) not in taken:
            taken.add(key)
            made.append(GeneratedCall(call, kind))
    return made


def _least_calls(sources: Sequence[_Source]) -> Iterator[str]:
    """Each hole of each template at its least: empty, or zero. No chance may leave those out."""
    for source in sources:
        for hole, domain in enumerate(source.domains):
            values = list(source.template.samples[0])
            values[hole] = domain.least()
            yield source.filled(values)


def _call(source: _Source, random: Random, kind: Kind) -> str:
    """A call with one hole of the kind asked for; the others hold what an example has there, or a value like it."""
    wild = random.randrange(source.template.holes)
    sample = random.choice(source.template.samples)
    values = [
        domain.draw(random, kind if hole == wild else Kind.WITHIN)
        if hole == wild or random.random() < 0.5
        else sample[hole]
        for hole, domain in enumerate(source.domains)
    ]
    return source.filled(values)
