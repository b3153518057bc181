"""What a model answers, and the programs that it may mean. Nothing here runs any of it."""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

from autodev_learning.lines import with_line_feeds
from autodev_learning.proposers.pieces import Definition

MOST_CODE_CHARACTERS = 64_000
MOST_EDITS = 64
TEXT_CHARACTERS = 2_000
FENCE = "```"
SEARCH, DIVIDER, REPLACE = (re.compile(pattern) for pattern in (r"<{5,9} ?SEARCH", r"={5,9}\s*$", r">{5,9} ?REPLACE"))
MOST_TEXT_CHARACTERS = 400_000


class WrongAnswer(ValueError):
    """An answer that means no program, in words for the model that gave it."""


class Replacement(BaseModel):
    """One change of the program shown."""

    search: str = Field(max_length=MOST_CODE_CHARACTERS, description="copied from the program, found in it once")
    replace: str = Field(max_length=MOST_CODE_CHARACTERS, description="what stands there instead")


class Answer(BaseModel):
    """A program: as edits of the program shown, or as code."""

    name: str = Field("", max_length=TEXT_CHARACTERS, description="what the program is called, in a few words")
    description: str = Field("", max_length=TEXT_CHARACTERS, description="what the program does")
    rationale: str = Field("", max_length=TEXT_CHARACTERS, description="what was wrong, or slow")
    expected_effect: str = Field("", max_length=TEXT_CHARACTERS, description="what the change does about it")
    code: str = Field("", max_length=MOST_CODE_CHARACTERS, description="the whole program, or whole functions")
    edits: list[Replacement] = Field([], max_length=MOST_EDITS, description="changes of the program shown")

    @property
    def steps(self) -> tuple[str, ...]:
        """What the model says of its change, a line each; control characters and line breaks are spaces."""
        told = {"": self.name, "does": self.description, "why": self.rationale, "effect": self.expected_effect}
        lines = ((title, " ".join(_printable(text).split())) for title, text in told.items())
        return tuple(f"{title}: {text}" if title else text for title, text in lines if text)


def answer_from_text(text: str) -> Answer:
    """Read an answer that is text: JSON of its fields, search and replace blocks, or code with prose around.

    Raises WrongAnswer.
    """
    text = text[:MOST_TEXT_CHARACTERS]
    found = _read(text)
    if (stated := _from_json(text, found)) is not None:
        return stated
    prose = " ".join(_printable(found.prose).split())[:TEXT_CHARACTERS]
    if found.edits:
        return Answer(rationale=prose, edits=found.edits[:MOST_EDITS])
    blocks = [code for language, code in found.blocks if language.lower() in ("", "py", "python", "python3")]
    programs = [code for code in blocks if _parsed(code) is not None]
    # A word or two that happen to parse are no code.
    if not programs and _names(text):
        return Answer(code=text[:MOST_CODE_CHARACTERS])
    if not programs:
        fault = "its code is no valid Python" if blocks else "it holds no code"
        raise WrongAnswer(f"the answer cannot be used: {fault}. Give one program between ```python and ```.")
    code = max(programs, key=len)
    if len(code) > MOST_CODE_CHARACTERS:
        raise WrongAnswer(f"the code is longer than {MOST_CODE_CHARACTERS} characters")
    return Answer(rationale=prose, code=code)


def programs_of(answer: Answer, base: str, entry_points: Sequence[str]) -> list[str]:
    """The programs that an answer may mean, the likeliest first; each parses and defines the entry points.

    Raises WrongAnswer.
    """
    meant: list[str] = []
    if answer.edits:
        meant.append(edited(base, answer.edits))
    if answer.code.strip():
        code = _without_block(answer.code)
        # A whole program is what it is; functions alone go into the program shown. Which it is, its trial tells.
        meant += [code, *([with_functions(base, code)] if _names(base) & _names(code) else [])]
    if not meant:
        raise WrongAnswer("the answer holds neither edits nor code")
    faults: list[str] = []
    programs: list[str] = []
    for code in dict.fromkeys(meant):
        fault = _fault(code, entry_points)
        if fault:
            faults.append(fault)
        else:
            programs.append(code)
    if not programs:
        raise WrongAnswer(faults[0])
    return programs


def edited(base: str, edits: Sequence[Replacement]) -> str:
    """A program after edits. Raises WrongAnswer for one whose text is not found in it once."""
    base = with_line_feeds(base)
    for number, edit in enumerate(edits, 1):
        wanted, replacement = with_line_feeds(edit.search), with_line_feeds(edit.replace)
        search = wanted if wanted in base else wanted.strip("\n")
        found = base.count(search) if search.strip() else 0
        if found != 1:
            raise WrongAnswer(f"edit {number}: its `search` is found {found} times in the program, and has to be once")
        base = base.replace(search, replacement if search is wanted else replacement.strip("\n"))
        if len(base) > 2 * MOST_CODE_CHARACTERS:
            raise WrongAnswer("the edited program is too long")
    return base


def with_functions(base: str, code: str) -> str:
    """A program with functions, classes and assignments replaced by those of the same name; what else is stated, added.

    Code that does not parse, in either, replaces the whole.
    """
    old, new = _parsed(base), _parsed(code)
    if old is None or new is None:
        return code
    places = {_name(statement): _lines(statement) for statement in _on_lines_of_their_own(old)}
    replaced: dict[tuple[int, int], str] = {}
    first: list[str] = []
    last: list[str] = []
    known = {_text(base, statement) for statement in old.body}
    for statement in new.body:
        text = _text(code, statement)
        name = _name(statement)
        if name and name in places:
            replaced[places[name]] = text
        elif text not in known:
            (last if isinstance(statement, Definition) else first).append(text)
    lines = _code_lines(base)
    for (start, end), text in sorted(replaced.items(), reverse=True):
        lines[start - 1 : end] = _code_lines(text)
    head = _head(old)
    return "\n".join([*lines[:head], *first, *lines[head:], *(f"\n\n{text}" for text in last)]) + "\n"


@dataclass
class _Found:
    """What a text holds: blocks of code by language, edits, and the prose around them."""

    blocks: list[tuple[str, str]] = field(default_factory=list)
    edits: list[Replacement] = field(default_factory=list)
    prose: str = ""


def _read(text: str) -> _Found:
    """One pass over the lines: a hostile text takes no longer than an honest one."""
    found = _Found()
    prose: list[str] = []
    block: list[str] | None = None
    language = ""
    sides: list[list[str]] = []  # of an edit that is open: what is searched, and what replaces it
    for line in _code_lines(text):
        if SEARCH.match(line):
            sides = [[]]
        elif len(sides) == 1 and DIVIDER.match(line):
            sides.append([])
        elif len(sides) == 2 and REPLACE.match(line):
            search, replacement = ("\n".join(side)[:MOST_CODE_CHARACTERS] for side in sides)
            found.edits.append(Replacement(search=search, replace=replacement))
            sides = []
        elif sides:
            sides[-1].append(line)
        elif line.lstrip().startswith(FENCE):
            if block is None:
                block, language = [], line.strip().strip("`").strip()
            else:
                found.blocks.append((language, "\n".join(block) + "\n"))
                block = None
        elif block is not None:
            block.append(line)
        else:
            prose.append(line)
    found.prose = "\n".join(prose)
    return found


def _from_json(text: str, found: _Found) -> Answer | None:
    """The answer that a text states as a JSON object, alone or within prose; None where it states none."""
    for candidate in (text.strip(), *(body for _, body in found.blocks[:MOST_EDITS]), _braces(text)):
        if not candidate.lstrip().startswith("{"):
            continue
        try:
            stated = Answer.model_validate(json.loads(candidate))
        except (ValidationError, ValueError, RecursionError):
            continue
        if stated.code.strip() or stated.edits:
            return stated
    return None


def _braces(text: str) -> str:
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else ""


def _without_block(code: str) -> str:
    """Code without the ``` that some models put around it where none belong."""
    if _parsed(code) is not None:
        return code
    blocks = _read(code).blocks
    return blocks[0][1] if blocks else code


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _fault(code: str, entry_points: Sequence[str]) -> str:
    if len(code) > 2 * MOST_CODE_CHARACTERS:
        return "the program is too long"
    tree = _parsed(code)
    if tree is None:
        return f"the program is no valid Python: {_syntax_error(code)}"
    if not tree.body:
        return "the answer holds no code"
    missing = [name for name in entry_points if name not in set(_bound_names(tree))]
    return f"the program has to define {', '.join(f'`{name}`' for name in missing)}" if missing else ""


def _bound_names(tree: ast.Module) -> Iterator[str]:
    """The names that a module binds at its top."""
    for statement in tree.body:
        if isinstance(statement, Definition):
            yield statement.name
        for node in ast.walk(statement):
            if isinstance(node, ast.alias):
                yield node.asname or node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _names(code: str) -> set[str]:
    """The functions and classes at the top of code; none of what does not parse."""
    tree = _parsed(code)
    return {statement.name for statement in tree.body if isinstance(statement, Definition)} if tree else set()


def _name(statement: ast.stmt) -> str:
    """What a statement at the top defines, or assigns to one name."""
    if isinstance(statement, Definition):
        return statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    is_binding = isinstance(statement, ast.Assign | ast.AnnAssign) and len(targets) == 1
    return targets[0].id if is_binding and isinstance(targets[0], ast.Name) else ""


def _on_lines_of_their_own(tree: ast.Module) -> Iterator[ast.stmt]:
    before = 0
    for statement, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        start, end = _lines(statement)
        if start > before and (following is None or _lines(following)[0] > end):
            yield statement
        before = end


def _head(tree: ast.Module) -> int:
    """The last line of the docstring and of what is imported from the future, which has to stand first; else 0."""
    end = 0
    for place, statement in enumerate(tree.body):
        is_docstring = place == 0 and ast.get_docstring(tree, clean=False) is not None
        if not is_docstring and not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            break
        end = _lines(statement)[1]
    return end


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, its decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    start = min([statement.lineno, *(each.lineno for each in decorators)])
    return start, statement.end_lineno or statement.lineno


def _text(code: str, statement: ast.stmt) -> str:
    start, end = _lines(statement)
    return "\n".join(_code_lines(code)[start - 1 : end])


def _code_lines(code: str) -> list[str]:
    """The lines as Python counts them: a form feed, say, ends none."""
    return with_line_feeds(code).split("\n")


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _syntax_error(code: str) -> str:
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return type(error).__name__
    return ""
