"""The commands that make stubs for other languages are complete, one language at a time."""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = (REPOSITORY / "examples/README.md").read_text()
BUF = re.search(r"@bufbuild/buf@[0-9.]+", (REPOSITORY / "Makefile").read_text())


@pytest.mark.parametrize("language", ["go", "ts"])
def test_a_language_needs_its_own_plugins_alone_and_the_page_says_where_they_come_from(language: str) -> None:
    template = REPOSITORY / f"buf.gen.{language}.yaml"
    plugins = [plugin["local"] for plugin in yaml.safe_load(template.read_text())["plugins"]]
    installs = [line for line in EXAMPLES.splitlines() if re.match(r"    (go|npm) install ", line)]
    for plugin in plugins:
        assert [line for line in installs if re.search(rf"/{plugin}(@latest)?$", line)], plugin
    assert BUF
    assert f"    npx {BUF[0]} generate --template {template.name}\n" in EXAMPLES


def test_go_installs_one_module_at_a_time() -> None:
    installs = re.findall(r"go install .*", EXAMPLES)
    assert installs
    assert [line for line in installs if line.count("@") != 1] == []
