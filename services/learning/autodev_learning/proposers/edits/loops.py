"""Loop over something else: from another start, to another stop, over a copy, over indices, backwards."""

from collections.abc import Iterator

import libcst as cst

from autodev_learning.proposers.tree import Edit, Program, Site, expression, replace_expression, source

NAME = "loop over something else"
PRIOR = 3.0


def edits(program: Program) -> Iterator[Edit]:
    for site, loop in program.find(cst.For):
        iterable = next(inner for inner in program.sites if inner.parent is site and inner.field == "iter")
        for other in _iterables(loop, site):
            yield replace_expression(iterable, other)
        if isinstance(loop.target, cst.Name) and not isinstance(loop.iter, cst.Call):
            changed = loop.with_changes(
                target=expression(f"i, {loop.target.value}"), iter=expression(f"enumerate({source(loop.iter)})")
            )
            yield Edit(f"{site.where}: count the turns of `for {loop.target.value}`", site, changed)
    for site, loop_while in program.find(cst.While):
        text = source(loop_while.test)
        test = next(inner for inner in program.sites if inner.parent is site and inner.field == "test")
        for name in site.function.names if site.function else ():
            for group in site.function.params if site.function else ():
                if name != group:
                    yield replace_expression(test, f"{name} < len({group}) and ({text})")
                    yield replace_expression(test, f"{name} < len({group})")


def _iterables(loop: cst.For, site: Site) -> Iterator[str]:
    text = source(loop.iter)
    if isinstance(loop.iter, cst.Call) and source(loop.iter.func) == "range":
        arguments = [source(argument.value) for argument in loop.iter.args]
        stop = arguments[0] if len(arguments) == 1 else arguments[1]
        start = "0" if len(arguments) == 1 else arguments[0]
        yield from (f"range({start}, {stop} + 1)", f"range({start}, {stop} - 1)")
        yield from (f"range(1, {stop})", f"range(0, {stop})", f"range({start} + 1, {stop})")
        yield f"reversed(range({start}, {stop}))"
        yield f"range(len({stop}))"
        return
    yield from (
        f"list({text})",
        f"range(len({text}))",
        f"reversed({text})",
        f"sorted({text})",
        f"{text}[1:]",
        f"{text}[:-1]",
    )
    for param in site.function.params if site.function else ():
        if param != text:
            yield f"range(len({param}))"
