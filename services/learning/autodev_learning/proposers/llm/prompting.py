"""Prompts: what a model is told by us, and what others said, fenced as data.

The fence is made from the hash of all the data that it encloses: text that contained its own fence would have to
contain a hash of itself. Equal problems give equal prompts.
"""

import hashlib
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from string import Template

from autodev_learning.examples import Example
from autodev_learning.proposers import Aim, Problem
from autodev_learning.proposers.llm.choice import AnswerForm, Choice
from autodev_learning.proposers.trials import Trial

VERSIONS = {Aim.REPAIR: "repair_1", Aim.OPTIMISE: "optimise_1", Aim.IMPROVE: "improve_1"}
ANSWERING = {AnswerForm.TOOL: "answer_tool_1", AnswerForm.TEXT: "answer_text_1"}
EXAMPLES_SHOWN = 24
FAILURES_SHOWN = 8
OTHERS_SHOWN = 3
VALUE_CHARACTERS = 600
PART_SHARE = 4
"""One part of a prompt may take a quarter of it, the program half."""
CUT = "\n[... cut: too long ...]\n"


class Keep(StrEnum):
    """Which end of a text that is too long says more."""

    START = "start"
    END = "end"


@dataclass(frozen=True)
class Part:
    """Data for a prompt: what it is, in our words, and the text of others."""

    title: str
    text: str


@dataclass(frozen=True)
class Prompt:
    """What a model is told first. `version` names the file; `fence` encloses what others say, also later on."""

    version: str
    instructions: str
    question: str
    fence: str

    @property
    def hash(self) -> str:
        """SHA-256 of all that the model is told first, with the name of the file that it was made from."""
        return hashlib.sha256("\0".join((self.version, self.instructions, self.question)).encode()).hexdigest()


def prompt_for(problem: Problem, base: Trial | None, choice: Choice) -> Prompt:
    """What a model is told of a problem. `base` is the program to start from and how it did; None: there is none."""
    most = choice.max_prompt_characters // PART_SHARE
    parts = [Part("The task", cut(problem.task_description, most))]
    if problem.preamble:
        parts.append(Part("Code that is given, and runs before the program", cut(problem.preamble, most)))
    if base is not None:
        parts += _program_told(problem, base, most)
    else:
        told = "\n".join(f"{each.call}  must give  {each.expected}" for each in _shown(problem.visible))
        parts.append(Part("Examples", cut(told, most)))
    names = ", ".join(f"`{name}`" for name in problem.entry_points) or "those that the examples call"
    return rendered(VERSIONS[problem.aim], parts, entry_points=names, answering=loaded(ANSWERING[choice.form]))


def _program_told(problem: Problem, base: Trial, most: int) -> Iterator[Part]:
    """The program to start from, and how it did."""
    yield Part("The program", cut(base.code, 2 * most))
    if problem.visible:
        yield Part("How the program does on the examples", cut(outcomes_told(base, problem.visible), most))
    trace = next((each.error_trace for each in problem.failures if each.code == base.code), "")
    if problem.aim is not Aim.IMPROVE:
        if trace:
            yield Part("The end of the trace of its failure", cut(trace, most // 2, Keep.END))
        return
    yield Part("How it did, and what was wrong with programs made of it", cut(trace, most // 2))
    others = problem.variants[:OTHERS_SHOWN]
    for number, code in enumerate(others, 1):
        yield Part(f"Another program that does well, number {number}", cut(code, most // len(others)))


def rendered(version: str, parts: Sequence[Part], **words: str) -> Prompt:
    """A prompt from a file, with our words in it and the parts fenced."""
    fence = fence_for(parts)
    words = {"fence": fence, "python": ".".join(platform.python_version_tuple()[:2]), **words}
    instructions = Template(loaded(version)).substitute(words)
    return Prompt(version, instructions, "\n\n".join(fenced(part, fence) for part in parts), fence)


def fence_for(parts: Sequence[Part]) -> str:
    """A word that none of the parts contains, and that none could have been made to contain."""
    texts = "\0".join(f"{part.title}\0{part.text}" for part in parts)
    fence = "DATA-" + hashlib.sha256(texts.encode(errors="replace")).hexdigest()[:24]
    while fence in texts:
        fence = "DATA-" + hashlib.sha256((fence + texts).encode(errors="replace")).hexdigest()[:24]
    return fence


def fenced(part: Part, fence: str) -> str:
    """A part that was not there when the fence was made loses the fence from its text."""
    return f"{part.title}:\n<<<{fence}\n{part.text.replace(fence, '[...]')}\n{fence}>>>"


def loaded(version: str) -> str:
    """The text of a prompt's file."""
    folder = resources.files("autodev_learning.proposers.llm.prompts")
    return folder.joinpath(f"{version}.md").read_text(encoding="utf-8").strip()


def outcomes_told(trial: Trial, examples: Sequence[Example]) -> str:
    """What a program gave on examples, failed ones first."""
    rows = sorted(zip(examples, trial.outcomes, trial.passed, strict=True), key=lambda row: row[2])
    failed = [row for row in rows if not row[2]][:FAILURES_SHOWN]
    passed = [row for row in rows if row[2]][: EXAMPLES_SHOWN - len(failed)]
    lines = [
        f"{_short(example.call)}  must give  {_short(example.expected)}  "
        + ("and does" if good else f"but gives  {_short(outcome.value or f'the error {outcome.error}')}")
        for example, outcome, good in (*failed, *passed)
    ]
    count = sum(trial.passed)
    return "\n".join((f"{count} of {len(trial.passed)} are as they must be.", *lines))


def cut(text: str, most: int, keep: Keep = Keep.START) -> str:
    """A text of at most so many characters, and a mark where more was; what no encoding can carry is replaced."""
    text = text.encode(errors="replace").decode()
    if len(text) <= most:
        return text
    return text[:most] + CUT if keep is Keep.START else CUT + text[-most:]


def _short(text: str) -> str:
    return cut(text, VALUE_CHARACTERS).replace(CUT, " [...]")


def _shown(examples: Sequence[Example]) -> Sequence[Example]:
    return [Example(_short(each.call), _short(each.expected)) for each in examples[:EXAMPLES_SHOWN]]
