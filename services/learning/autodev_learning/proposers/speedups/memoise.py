"""What a function gave before."""

import ast
import re
from collections.abc import Iterator

from autodev_learning.proposers.analysis.code import COMPREHENSIONS, Change, Code, Function, names_bound_by
from autodev_learning.proposers.analysis.effects import is_pure
from autodev_learning.proposers.speedups import Edit, Speedup


class Memoise(Speedup):
    """Remember what a function gave that asks itself the same again: while it works on one question.

        +def f(n):
        +    return f_remembering({}, n)
        +
        +
        -def f(n):
        +def f_remembering(f_known, n):
        +    f_key = n if type(n) is int else plain_key(n)
        +    if f_key in f_known:
        +        return f_known[f_key]
             if n < 2:
        -        return n
        +        return remember(f_known, f_key, n)
        -    return f(n - 1) + f(n - 2)
        +    return remember(f_known, f_key, f_remembering(f_known, n - 1) + f_remembering(f_known, n - 2))

    >>> f(12), f(True), f(2.5), f(0.0), [f(n) for n in range(5)], f("a")
    """

    name = "remember a function's results"
    gain = 100.0

    def edits(self, code: Code) -> Iterator[Edit]:
        for function in code.functions.values():
            calls = _calls(code, function)
            if calls and _is_asked_again(code, calls) and can_be_split(function) and is_pure(code, function):
                passed_on = [name for name in _params(function) if _is_passed_on(function, calls, name)]
                yield Edit(
                    f"{function.name}: remember its results while it works on one question",
                    _changes(code, function, calls, passed_on),
                    ["memory"],
                )


def _changes(code: Code, function: Function, calls: list[ast.Call], passed_on: list[str]) -> list[Change]:
    name = function.name
    asked, known, key = code.fresh(f"{name}_remembering"), code.fresh(f"{name}_known"), code.fresh(f"{name}_key")
    params = _params(function)
    start, _ = code.span(function)
    first_argument, _ = code.span(function.args.args[0])
    whole = code.text.encode()
    signature = whole[start:first_argument].decode()
    head = whole[start : whole.index(b":", _end_of_signature(code, function))].decode()
    first = _first(function)
    arguments = "".join(f", {each}" for each in params)
    indent = code.indent(first)
    memory = f"memory_for({', '.join(passed_on)})" if passed_on else "{}"
    wrapper = f"{head}:\n{indent}return {asked}({memory}{arguments})\n\n\n"
    return [
        Change(start, first_argument, f"{wrapper}{_renamed(signature, asked)}{known}, "),
        *(Change(*code.span(call.func), asked) for call in calls),
        *(_in_front(code, call.args[0], f"{known}, ") for call in calls),
        *remembering(code, function, passed_on, known, key),
    ]


def remembering(code: Code, function: Function, passed_on: list[str], known: str, key: str) -> list[Change]:
    """The changes that make a function look up what it gave, and keep what it gives."""
    first = _first(function)
    keyed = [each for each in _params(function) if each not in passed_on]
    asking = (f"{key} = {_key(keyed)}", f"if {key} in {known}:", f"    return {known}[{key}]")
    return [code.before(first, *asking), *_returning(code, function, known, key)]


def _first(function: Function) -> ast.stmt:
    """The first statement behind what is said of the function."""
    return function.body[1 if ast.get_docstring(function, clean=False) is not None else 0]


def _key(keyed: list[str]) -> str:
    """What stands for the arguments: the numbers themselves where nothing but numbers is given."""
    any_key = f"plain_key({', '.join(keyed)})"
    if not keyed:
        return any_key
    own = keyed[0] if len(keyed) == 1 else f"({', '.join(keyed)})"
    return f"{own} if {' is '.join(f'type({each})' for each in keyed)} is int else {any_key}"


def _in_front(code: Code, node: ast.expr, text: str) -> Change:
    start, _ = code.span(node)
    return Change(start, start, text)


def _renamed(signature: str, name: str) -> str:
    """`def f(` with another name."""
    return re.sub(r"^(def\s+)\w+", rf"\g<1>{name}", signature)


def _end_of_signature(code: Code, function: Function) -> int:
    parts = [*function.args.args, *function.args.defaults, *([function.returns] if function.returns else [])]
    return max(code.span(part)[1] for part in parts)


def _returning(code: Code, function: Function, known: str, key: str) -> Iterator[Change]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            start, end = code.span(node.value)
            statement_start, statement_end = code.span(node)
            # Brackets around the value belong to the statement, not to it.
            yield Change(statement_start + len("return"), start, _opening(code, statement_start, start, known, key))
            yield Change(end, statement_end, code.text.encode()[end:statement_end].decode() + ")")


def _opening(code: Code, statement_start: int, start: int, known: str, key: str) -> str:
    between = code.text.encode()[statement_start + len("return") : start].decode().strip()
    return f" remember({known}, {key}, {between}"


def _params(function: Function) -> list[str]:
    return [param.arg for param in function.args.args]


def _calls(code: Code, function: Function) -> list[ast.Call]:
    """The function's calls of itself; none where it is used in another way, or not called by place."""
    names = [each for each in ast.walk(function) if isinstance(each, ast.Name) and each.id == function.name]
    calls = [
        each
        for each in ast.walk(function)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == function.name
    ]
    plain = all(
        call.args and not call.keywords and not any(isinstance(each, ast.Starred) for each in call.args)
        for call in calls
    )
    return calls if plain and len(names) == len(calls) else []


def _is_asked_again(code: Code, calls: list[ast.Call]) -> bool:
    around = (*COMPREHENSIONS, ast.For, ast.While)
    function = code.function_around(calls[0])
    return len(calls) > 1 or any(isinstance(each, around) for each in _within(code, calls[0], function))


def _within(code: Code, node: ast.AST, function: Function | None) -> Iterator[ast.AST]:
    for each in code.ancestors(node):
        if each is function:
            return
        yield each


def can_be_split(function: Function) -> bool:
    arguments = function.args
    plain = not (arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)
    is_empty = len(function.body) == 1 and ast.get_docstring(function, clean=False) is not None
    # Lines of their own: the body is not on the line of `def`.
    return plain and bool(arguments.args) and function.body[0].lineno > function.lineno and not is_empty


def _is_passed_on(function: Function, calls: list[ast.Call], name: str) -> bool:
    """Whether every call of itself passes the parameter as it came."""
    place = _params(function).index(name)
    bindings = [node for node in ast.walk(function) if name in names_bound_by(node)]
    return len(bindings) == 1 and all(
        place < len(call.args) and isinstance(call.args[place], ast.Name) and call.args[place].id == name  # type: ignore[attr-defined]
        for call in calls
    )
