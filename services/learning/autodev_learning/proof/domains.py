"""What values stand in one place of the examples' calls, and more of them: by type, range, alphabet and shape."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import itemgetter
from random import Random
from typing import TypeVar

MOST_ELEMENTS = 48
MOST_LETTERS = 200
MOST_LEVELS = 12
LARGEST = 1e300
"""Larger numbers are drawn as they are: twice one may be more than a float holds, or than Python writes."""
SORTED_PAIRS = 12
"""So many neighbours in order, and none out of order, are a rule and no habit of who wrote the examples."""
Part = TypeVar("Part")
FOREIGN_LETTERS = " -_.,:;/\\'\"()[]{}\n\té߀Z9"


class Kind(StrEnum):
    """How far a generated value is from those that were seen."""

    WITHIN = "within"
    """Of the same types, ranges and sizes."""
    EDGE = "edge"
    """Empty, one element, zero, the smallest and largest seen, twice the same."""
    BEYOND = "beyond"
    """Longer, larger or of other letters than any seen."""


class Domain(ABC):
    """Values of one place."""

    @abstractmethod
    def draw(self, random: Random, kind: Kind) -> object:
        """Draw one more value of the same type."""

    def least(self) -> object:
        """The smallest value of the type: what is most often forgotten."""
        return self.draw(Random(0), Kind.EDGE)


@dataclass(frozen=True)
class Fixed(Domain):
    """A few values and no others: None, booleans, the modes that a text names, values of no kind that is known."""

    seen: tuple[object, ...]

    def draw(self, random: Random, kind: Kind) -> object:
        return random.choice(self.seen)


@dataclass(frozen=True)
class Integers(Domain):
    """Whole numbers. Negative ones are beyond, where none was seen."""

    seen: tuple[int, ...]

    def least(self) -> int:
        return 0

    def draw(self, random: Random, kind: Kind) -> int:
        low, high = min(self.seen), max(self.seen)
        if kind is Kind.EDGE:
            edges: list[int] = (
                [low, high, high + 1, min(1, high)] + [0, 1, 2] * (low >= 0) + [0, -1, 1, low - 1] * (low < 0)
            )
            return random.choice(edges)
        if kind is Kind.BEYOND:
            width = max(1, high - low)
            return random.choice((high + random.randint(1, width + 1), 2 * high + 1, low - 1, -1, -high))
        return random.choice(self.seen) if random.random() < 0.3 else random.randint(low, high)


@dataclass(frozen=True)
class Reals(Domain):
    """Numbers with a fraction, to as many digits as were seen; whole ones among them where some were."""

    seen: tuple[float, ...]

    def least(self) -> float:
        return 0.0

    def draw(self, random: Random, kind: Kind) -> float:
        low, high = min(self.seen), max(self.seen)
        digits = max(_digits(each) for each in self.seen)
        if kind is Kind.EDGE:
            return random.choice((low, high, 0.0, 1.0, 0.5, -0.0 if low >= 0 else -1.0))
        if kind is Kind.BEYOND:
            return random.choice((round(2 * high + 1, digits), round(low - 1, digits), -high, 1e-9, high * 1e6))
        drawn = random.choice(self.seen) if random.random() < 0.3 else round(random.uniform(low, high), digits)
        whole = any(isinstance(each, int) for each in self.seen)
        return int(drawn) if whole and math.isfinite(drawn) and random.random() < 0.3 else drawn


@dataclass(frozen=True)
class Texts(Domain):
    """Text of the letters seen: seen ones with a letter changed, taken away or doubled, and fresh ones."""

    seen: tuple[str, ...]

    def least(self) -> str:
        return ""

    def draw(self, random: Random, kind: Kind) -> str:
        letters = sorted(set("".join(self.seen))) or ["a"]
        base = random.choice(self.seen)
        if kind is Kind.EDGE:
            first = base[:1] or random.choice(letters)
            return random.choice(("", first, first * 2, base + base[-1:], base[::-1], base[1:], base[:-1]))
        if kind is Kind.BEYOND:
            foreign = random.choice(FOREIGN_LETTERS)
            place = random.randint(0, len(base))
            longer = (base + random.choice(self.seen) + base)[:MOST_LETTERS]
            return random.choice((longer, base[:place] + foreign + base[place:], base.swapcase(), foreign))
        if random.random() < 0.6:
            return "".join(_varied(random, list(base), lambda: random.choice(letters)))
        longest = min(MOST_LETTERS, max(map(len, self.seen)))
        return "".join(random.choices(letters, k=random.randint(min(longest, *map(len, self.seen)), longest)))


@dataclass(frozen=True)
class Sequences(Domain):
    """Lists, tuples or sets of elements of one domain.

    `lengths` are those seen; `even`: all of one list of sequences are equally long, as a matrix's rows are; `ordered`:
    always in order.
    """

    kind: type
    seen: tuple[Sequence[object], ...]
    element: Domain
    even: bool = False
    ordered: bool = False

    def least(self) -> object:
        return self.kind()

    def draw(self, random: Random, kind: Kind) -> object:
        return self._shaped(self._elements(random, kind))

    def of_length(self, random: Random, kind: Kind, length: int) -> object:
        """Draw one of so many elements."""
        return self._shaped([self.element.draw(random, self._inner(random, kind)) for _ in range(length)])

    def _elements(self, random: Random, kind: Kind) -> list[object]:
        base = list(random.choice(self.seen))
        lengths = [len(each) for each in self.seen]
        if kind is Kind.EDGE:
            one = base[:1] or self._drawn(random, Kind.WITHIN, 1)
            doubled = [*base, random.choice(base)] if base else one * 2
            turned, in_order = base[::-1], sorted(base, key=repr)
            return random.choice(([], one, one * 2, doubled, turned, in_order, base[1:], base[:-1]))
        if kind is Kind.BEYOND:
            if random.random() < 0.5:
                return self._drawn(random, Kind.WITHIN, min(MOST_ELEMENTS, 2 * max(lengths) + 1))
            return self._drawn(random, Kind.BEYOND, max(1, len(base)))
        if base and not self.even and random.random() < 0.5:
            return _varied(random, base, lambda: self.element.draw(random, Kind.WITHIN))
        longest = min(MOST_ELEMENTS, max(lengths))
        return self._drawn(random, Kind.WITHIN, random.randint(min(longest, *lengths), longest))

    def _drawn(self, random: Random, kind: Kind, count: int) -> list[object]:
        if self.even and isinstance(self.element, Sequences):
            rows = self.element
            length = len(random.choice(rows.seen)) if rows.seen else 0
            return [rows.of_length(random, kind, length) for _ in range(count)]
        return [self.element.draw(random, self._inner(random, kind)) for _ in range(count)]

    @staticmethod
    def _inner(random: Random, kind: Kind) -> Kind:
        return kind if random.random() < 0.4 else Kind.WITHIN

    def _shaped(self, elements: list[object]) -> object:
        return self.kind(_in_order(elements) if self.ordered else elements)


@dataclass(frozen=True)
class Records(Domain):
    """Tuples of a fixed length, or dictionaries of fixed keys: each place has a domain of its own."""

    keys: tuple[object, ...] | None
    places: tuple[Domain, ...]

    def draw(self, random: Random, kind: Kind) -> object:
        wild = random.randrange(len(self.places)) if self.places else 0
        drawn = [place.draw(random, kind if index == wild else Kind.WITHIN) for index, place in enumerate(self.places)]
        return tuple(drawn) if self.keys is None else dict(zip(self.keys, drawn, strict=True))


@dataclass(frozen=True)
class Mappings(Domain):
    """Dictionaries of varying keys."""

    pairs: Sequences
    seen: tuple[dict[object, object], ...]

    def least(self) -> object:
        return {}

    def draw(self, random: Random, kind: Kind) -> object:
        base = random.choice(self.seen)
        if kind is Kind.WITHIN and base and random.random() < 0.5:
            kept = [key for key in base if random.random() < 0.8]
            return {key: base[key] for key in kept}
        return dict(self.pairs.draw(random, kind))  # type: ignore[call-overload]


@dataclass(frozen=True)
class Either(Domain):
    """Values of several types, as often as they were seen: an optional value is one of them."""

    domains: tuple[Domain, ...]
    weights: tuple[int, ...]

    def draw(self, random: Random, kind: Kind) -> object:
        return random.choices(self.domains, self.weights)[0].draw(random, kind)


def domain_of(seen: Sequence[object], levels: int = MOST_LEVELS) -> Domain:
    """What the values seen are examples of. There is one at least."""
    kinds: dict[str, list[object]] = {}
    for value in seen:
        kinds.setdefault(_kind(value), []).append(value)
    if "int" in kinds and "float" in kinds:
        kinds["float"] += kinds.pop("int")
    domains = tuple(_domain(kind, tuple(values), levels) for kind, values in kinds.items())
    return domains[0] if len(domains) == 1 else Either(domains, tuple(len(values) for values in kinds.values()))


def _kind(value: object) -> str:
    return type(value).__name__


def _domain(kind: str, seen: tuple[object, ...], levels: int) -> Domain:
    values: tuple[object, ...] = seen
    if levels == 0:
        return Fixed(values)
    if kind == "bool":
        return Fixed((False, True))
    if kind in ("int", "float"):
        return _numbers(kind, values)  # type: ignore[arg-type]
    if kind == "str":
        return _texts(values)  # type: ignore[arg-type]
    if kind in ("list", "tuple", "set"):
        return _sequences({"list": list, "tuple": tuple, "set": set}[kind], values, levels)  # type: ignore[arg-type]
    if kind == "dict":
        return _mappings(values, levels)  # type: ignore[arg-type]
    return Fixed(values)


def _numbers(kind: str, seen: tuple[float, ...]) -> Domain:
    if not all(abs(each) <= LARGEST for each in seen):
        return Fixed(seen)
    return Reals(seen) if kind == "float" else Integers(seen)  # type: ignore[arg-type]


def _texts(seen: tuple[str, ...]) -> Domain:
    """Text that is one of a few words, again and again, names modes: others would only be refused."""
    different = tuple(dict.fromkeys(seen))
    return Fixed(different) if len(seen) >= 4 and 2 * len(different) <= len(seen) else Texts(different)


def _sequences(kind: type, seen: tuple[Sequence[object], ...], levels: int) -> Domain:
    if kind is tuple and len({len(each) for each in seen}) == 1:
        return Records(None, tuple(domain_of(column, levels - 1) for column in zip(*seen, strict=True)))
    rows = tuple(sorted(each, key=repr) if kind is set else each for each in seen)
    elements = [element for each in rows for element in each]
    element = domain_of(elements, levels - 1) if elements else Integers((0, 1, 2))
    return Sequences(kind, rows, element, even=_is_even(rows), ordered=kind is not set and _is_ordered(rows))


def _mappings(seen: tuple[dict[object, object], ...], levels: int) -> Domain:
    keys = tuple(seen[0])
    texts = all(isinstance(key, str) for key in keys)
    if keys and texts and len(seen) > 1 and all(set(each) == set(keys) for each in seen):
        return Records(keys, tuple(domain_of([each[key] for each in seen], levels - 1) for key in keys))
    items = tuple([*each.items()] for each in seen)
    pairs = _sequences(list, items, levels)
    if not any(items):
        return Fixed(seen)
    assert isinstance(pairs, Sequences), "a list of pairs is a sequence"
    return Mappings(pairs, seen)


def _is_even(rows: Iterable[Sequence[object]]) -> bool:
    """Whether rows hold sequences of one length each, and two of them at least."""
    lists = [[len(each) for each in row if isinstance(each, list)] for row in rows if row]
    several = [lengths for lengths in lists if len(lengths) > 1]
    return bool(several) and all(len(set(lengths)) == 1 for lengths in several)


def _is_ordered(rows: Iterable[Sequence[object]]) -> bool:
    pairs = 0
    try:
        for row in rows:
            if any(left > right for left, right in pairwise(row)):  # type: ignore[operator]
                return False
            pairs += max(0, len(row) - 1)
    except TypeError:
        return False
    return pairs >= SORTED_PAIRS


def _in_order(elements: list[object]) -> list[object]:
    """Sorted; by what stands first in each where the rest cannot be compared; as they are where that cannot either."""
    for key in (None, itemgetter(0)):
        try:
            return sorted(elements, key=key)  # type: ignore[type-var, arg-type]
        except (TypeError, LookupError):
            continue
    return elements


def _varied(random: Random, parts: Sequence[Part], draw: Callable[[], Part]) -> list[Part]:
    """The parts with one of them changed, taken away, added, doubled, or two of them swapped."""
    varied = list(parts)
    place = random.randrange(len(varied)) if varied else 0
    change = random.randrange(5) if varied else 2
    if change == 0:
        varied[place] = draw()
    elif change == 1:
        del varied[place]
    elif change == 2:
        varied.insert(place, draw())
    elif change == 3:
        other = random.randrange(len(varied))
        varied[place], varied[other] = varied[other], varied[place]
    else:
        varied.insert(place, varied[place])
    return varied


def _digits(number: float) -> int:
    """Digits behind the point, six at most."""
    text = f"{number:.6f}".rstrip("0")
    return len(text.partition(".")[2])
