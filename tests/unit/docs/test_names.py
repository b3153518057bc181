"""What the documents name is there: files and headings, commands and their options, variables, metrics and RPCs."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from autodev_cli.__main__ import app
from autodev_runtime.variables import variable_of
from docs.build_access import methods
from docs.build_settings import SERVICES
from tests.unit.docs.test_dashboard import SAMPLES

REPOSITORY = Path(__file__).parents[3]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((REPOSITORY / "docs").glob("**/*.md")),
]
# The one that is none: what a package's signature begins with.
COMMAND = re.compile(r"(?:^ {4,}|`|\.venv/bin/)autodev (?!skill package 1)([^`#\n]*)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!\w+://)([^)\s]+)\)")
DECISION = re.compile(r"decision (\d{4})")
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*|-[a-z])\b")
VARIABLE = re.compile(r"AUTODEV_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_<.])")
METRIC = re.compile(r"`(autodev_[a-z_]+_(?:total|seconds|waiting|dead|available|refused))\b")
RPC = re.compile(r"`([A-Z]\w+Service\.[A-Z]\w+)")


def pages_with(pattern: re.Pattern[str]) -> pytest.MarkDecorator:
    """Each page that names such things; some do."""
    pages = [page for page in PAGES if pattern.search(page.read_text())]
    assert pages, pattern
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(REPOSITORY)))


@cache
def commands() -> Mapping[str, frozenset[str]]:
    """Every command by its words, with its options; a group has none but `--help`."""
    return dict(_commands(typer.main.get_command(app), ""))


def _commands(command: Any, path: str) -> Iterator[tuple[str, frozenset[str]]]:
    yield path, frozenset(word for each in command.params for word in (*each.opts, *each.secondary_opts)) | {"--help"}
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _commands(command.get_command(None, name), f"{path} {name}".strip())


@cache
def anchors(page: Path) -> frozenset[str]:
    """What a link may add to a page's name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@cache
def variables() -> frozenset[str]:
    """Variables that are read: the services' settings, and those that stand in what else is run."""
    settings = {variable_of(kind, name) for kind in SERVICES.values() for name in kind.model_fields}
    read = [
        *(path for folder in ("libs", "services") for path in (REPOSITORY / folder).glob("*/autodev_*/**/*.py")),
        *(REPOSITORY / "tests").glob("**/*.py"),
        *(REPOSITORY / name for name in ("docker-compose.yml", "Makefile", "deploy/compose.llm.yml", ".ci/run")),
    ]
    return frozenset(settings.union(*(re.findall(r"AUTODEV_[A-Z0-9_]*[A-Z0-9]", path.read_text()) for path in read)))


@pages_with(LINK)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        led_to = (page.parent / path).resolve() if path else page
        assert led_to.exists(), target
        assert not anchor or anchor in anchors(led_to), target


@pages_with(DECISION)
def test_decisions_that_are_referred_to_are_there(page: Path) -> None:
    for number in DECISION.findall(page.read_text()):
        assert list((REPOSITORY / "docs/decisions").glob(f"{number}-*.md")), number


@pages_with(COMMAND)
def test_commands_and_their_options_are_there(page: Path) -> None:
    for line in COMMAND.findall(page.read_text()):
        words = line.split()
        named = max((path for path in commands() if words[: len(path.split())] == path.split()), key=len)
        # `a|b` and `a, b` stand for several commands: their options are not looked at.
        if len(words) > len(named.split()) and re.search(r"[|,]", words[len(named.split())]):
            first = re.split(r"[|,]", words[len(named.split())])[0]
            assert f"{named} {first}".strip() in commands(), line
            continue
        assert named or line.startswith(("-", "<")) or not words, f"no command: {line}"
        assert set(OPTION.findall(line)) <= commands()[named], line


@pages_with(VARIABLE)
def test_variables_are_read_by_something(page: Path) -> None:
    for variable in VARIABLE.findall(page.read_text()):
        assert variable in variables() or variable.partition("__")[0] in variables(), variable


@pages_with(METRIC)
def test_metrics_are_counted(page: Path) -> None:
    for name in METRIC.findall(page.read_text()):
        assert {name, f"{name}_count"} & SAMPLES.keys(), name


@pages_with(RPC)
def test_rpcs_are_in_the_contracts(page: Path) -> None:
    there = {f"{method.containing_service.name}.{method.name}" for method in methods()}
    extensions = (REPOSITORY / "protos/autodev/extension").rglob("*.proto")
    elsewhere = "".join(path.read_text() for path in extensions)
    for name in RPC.findall(page.read_text()):
        assert name in there or f"rpc {name.partition('.')[2]}(" in elsewhere, name
