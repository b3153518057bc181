"""A function written anew, as one expression over its parameters: simple hypotheses of what the examples ask for.

The expressions are the idioms of Python over a sequence, a filter and a reduction, and arithmetic over numbers; the
kinds of values in the examples choose among them. What passes is a proposal where no edit is found, and, above all, a
witness: edits that pass the examples and behave as the simplest rewriting does are the more plausible.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from autodev_learning.examples import Example
from autodev_learning.proposers.probes import kind_of

MOST = 1500


class Kind(Enum):
    """What a parameter holds, as the examples' arguments say."""

    NUMBER = "number"
    TEXT = "text"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    OTHER = "other"


@dataclass(frozen=True)
class Parameter:
    """A parameter with what it holds; of a sequence, how many items its items have (0: they are no sequences)."""

    name: str
    kind: Kind
    width: int = 0
    items: Kind = Kind.OTHER


def rewritings(
    name: str,
    params: Sequence[str],
    examples: Sequence[Example],
    preamble: str,
    functions: Mapping[str, Sequence[str]],
) -> list[str]:
    """Expressions that the function might be, the simplest first; none where the examples tell too little apart."""
    expected = {example.expected for example in examples}
    if len(expected) < 2 or not params:
        return []
    parameters = described(name, params, examples, preamble)
    found = dict.fromkeys(_expressions(parameters, {kind_of(each) for each in expected}, name, functions))
    return sorted(found, key=len)[:MOST]


def described(name: str, params: Sequence[str], examples: Sequence[Example], preamble: str) -> list[Parameter]:
    """Look at the arguments of the examples' calls; a name in them stands for what the preamble binds it to."""
    bound = _bound(preamble)
    arguments: list[list[object]] = [[] for _ in params]
    for call in (each for example in examples if (each := _parsed(example.call))):
        for node in ast.walk(call):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                for values, argument in zip(arguments, node.args, strict=False):
                    if isinstance(argument, ast.Name):
                        argument = bound.get(argument.id, argument)
                    try:
                        values.append(ast.literal_eval(argument))
                    except (ValueError, TypeError, RecursionError, MemoryError):
                        continue
    return [_parameter(param, values) for param, values in zip(params, arguments, strict=True)]


def _parsed(call: str) -> ast.Expression | None:
    try:
        return ast.parse(call.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _bound(preamble: str) -> dict[str, ast.expr]:
    try:
        body = ast.parse(preamble).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _parameter(name: str, values: Sequence[object]) -> Parameter:
    kinds = {_kind(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else Kind.OTHER
    if kind is not Kind.SEQUENCE:
        return Parameter(name, kind)
    items = [item for value in values if isinstance(value, list | tuple) for item in value]
    widths = {len(item) if isinstance(item, list | tuple) else 0 for item in items}
    inner = {_kind(item) for item in items}
    return Parameter(
        name, kind, widths.pop() if len(widths) == 1 else 0, inner.pop() if len(inner) == 1 else Kind.OTHER
    )


def _kind(value: object) -> Kind:
    if isinstance(value, int | float):
        return Kind.NUMBER
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, dict):
        return Kind.MAPPING
    return Kind.SEQUENCE if isinstance(value, list | tuple | set) else Kind.OTHER


def _expressions(
    parameters: Sequence[Parameter], results: set[str], name: str, functions: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for parameter in parameters:
        others = [other for other in parameters if other is not parameter]
        if parameter.kind is Kind.SEQUENCE:
            yield from _of_sequence(parameter, others, results, name, functions)
        elif parameter.kind is Kind.TEXT:
            yield from _of_text(parameter.name, results)
    numbers = [parameter.name for parameter in parameters if parameter.kind is Kind.NUMBER]
    if numbers:
        yield from _of_numbers(numbers, results)


def _of_sequence(
    parameter: Parameter,
    others: Sequence[Parameter],
    results: set[str],
    name: str,
    functions: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    items = parameter.name
    parts = ["e", *(f"e[{index}]" for index in range(min(parameter.width, 4)))]
    tests = list(dict.fromkeys(_tests(parameter, parts, others, name, functions)))
    both = [f"{one} and {two}" for one in tests for two in tests if "==" in one and "(" in two] if functions else []
    if "bool" in results:
        for test in (*tests, *both):
            yield from (f"any({test} for e in {items})", f"all({test} for e in {items})")
            yield from (f"sum({test} for e in {items}) == 1", f"sum({test} for e in {items}) > 1")
            yield f"not any({test} for e in {items})"
        yield from (
            f"{items} == {items}[::-1]",
            f"list({items}) == sorted({items})",
            f"len(set({items})) == len({items})",
        )
        for other in others:
            yield from (f"{other.name} in {items}", f"{other.name} not in {items}")
            for part in parts[1:]:
                yield from (f"[{part} for e in {items}].count({other.name}) == 1",)
    if "number" in results:
        yield from (f"len({items})", f"sum({items})", f"max({items})", f"min({items})", f"len(set({items}))")
        for test in tests:
            yield f"sum({test} for e in {items})"
            for default in (f"len({items})", "-1", "0"):
                yield f"next((i for i, e in enumerate({items}) if {test}), {default})"
            for part in parts:
                yield f"sum({part} for e in {items} if {test})"
    for kind, form in (("List", "[{} for e in {}{}]"), ("Tuple", "tuple({} for e in {}{})")):
        if kind not in results:
            continue
        whole = "list({})" if kind == "List" else "tuple({})"
        for text in (items, f"dict.fromkeys({items})", f"reversed({items})", f"set({items})", f"sorted(set({items}))"):
            yield whole.format(text)
        yield from (f"sorted({items})", f"{items}[::-1]", f"sorted({items}, reverse=True)")
        place = form.replace("for e in {}", "for i, e in enumerate({})")
        for test in (
            f"e not in {items}[:i]",
            f"e in {items}[:i]",
            f"e not in {items}[i + 1:]",
            f"{items}.count(e) == 1",
        ):
            yield place.format("e", items, f" if {test}")
        for part in parts:
            yield form.format(part, items, "")
            for test in tests:
                yield form.format(part, items, f" if {test}")


def _tests(
    parameter: Parameter,
    parts: Sequence[str],
    others: Sequence[Parameter],
    name: str,
    functions: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    for other in others:
        if other.kind in (Kind.NUMBER, Kind.TEXT):
            for part in parts:
                if part != "e" or parameter.width == 0:
                    for sign in ("==", "!=", "<", "<=", ">", ">="):
                        yield f"{part} {sign} {other.name}"
        elif other.kind is Kind.SEQUENCE:
            yield from (f"e in {other.name}", f"e not in {other.name}")
    if not others and parameter.items is Kind.NUMBER:
        yield from ("e > 0", "e < 0", "e % 2 == 0", "e % 2 == 1", "e")
    for function, params in functions.items():
        if function != name and len(params) in (1, 2):
            for part in parts:
                behind = f", {parameter.name}" if len(params) == 2 else ""
                yield f"{function}({part}{behind})"


def _of_text(text: str, results: set[str]) -> Iterator[str]:
    if "str" in results:
        yield from (f"{text}[::-1]", f"{text}.upper()", f"{text}.lower()", f"{text}.strip()", f"{text}.title()")
        yield from (f"''.join(sorted({text}))", f"''.join(dict.fromkeys({text}))")
    if "number" in results:
        yield from (f"len({text})", f"int({text})", f"len(set({text}))", f"len({text}.split())")
    if "bool" in results:
        yield from (
            f"{text} == {text}[::-1]",
            f"{text}.lower() == {text}.lower()[::-1]",
            f"len(set({text})) == len({text})",
        )
    if "List" in results:
        yield from (f"list({text})", f"{text}.split()", f"sorted({text})")


def _of_numbers(names: Sequence[str], results: set[str]) -> Iterator[str]:
    if "number" in results:
        for one in names:
            yield from (f"abs({one})", f"-{one}", f"{one} + 1", f"{one} - 1", f"{one} * 2", f"{one} ** 2")
            for two in names:
                if one != two:
                    yield from (f"{one} {sign} {two}" for sign in ("+", "-", "*", "//", "%", "**", "/"))
        if len(names) > 1:
            yield from (f"max({', '.join(names)})", f"min({', '.join(names)})", f"sum(({', '.join(names)}))")
    if "bool" in results:
        for one in names:
            yield from (f"{one} % 2 == 0", f"{one} % 2 == 1", f"{one} > 0", f"{one} == 0")
            for two in names:
                if one != two:
                    yield from (f"{one} {sign} {two}" for sign in ("<", "<=", "=="))
                    yield f"{one} % {two} == 0"
