"""What a package holds, and the files that say so: SKILL.md as the Agent Skills format has it, code, tests, provenance.

even-sum/
    SKILL.md              name and description for any agent that reads skills; version and entry points for this one
    scripts/skill.py      the code
    scripts/preamble.py   code that runs before it, where there is some
    tests/examples.json   [{"call": "even_sum([1, 2])", "expected": "2"}]
    provenance.json       who wrote it, at what cost
    signature.json        who vouches for all of this, where somebody does
"""

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autodev_learning.examples import Example
from autodev_learning.memento.proposing import no_program
from autodev_learning.skills.packages.archive import BadPackage
from autodev_learning.skills.provenance import Provenance

SKILL, CODE, PREAMBLE = "SKILL.md", "scripts/skill.py", "scripts/preamble.py"
EXAMPLES, PROVENANCE, SIGNATURE = "tests/examples.json", "provenance.json", "signature.json"
VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
"""A semantic version without pre-release and build, which the registry has none of."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,119}")
"""A skill's name here: 100 characters, and a number behind it where that was taken."""
NOT_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no database takes: NUL, and halves of characters, which JSON and YAML can write."""
PACKAGE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOST_PACKAGE_NAME = 64
MOST_DESCRIPTION = 1024
MOST_EXAMPLES = 256
MOST_CODE_CHARACTERS = 256 * 1024
MOST_TEXT_CHARACTERS = 16 * 1024


@dataclass(frozen=True)
class SkillPackage:
    """A skill's version, whole. `name` is the function's; the folder and SKILL.md have it in the format's letters."""

    name: str
    description: str
    version: str
    code: str
    preamble: str
    examples: tuple[Example, ...]
    entry_points: tuple[str, ...]
    provenance: Provenance

    @property
    def package_name(self) -> str:
        """The name as the Agent Skills format allows it: small letters, digits and single hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:MOST_PACKAGE_NAME].strip("-") or "skill"


def files_of(package: SkillPackage) -> dict[str, bytes]:
    """The package's files, without a signature."""
    files = {
        SKILL: _skill_text(package),
        CODE: package.code,
        EXAMPLES: _json([asdict(example) for example in package.examples]),
        PROVENANCE: _json(asdict(package.provenance)),
    }
    if package.preamble:
        files[PREAMBLE] = package.preamble
    return {path: text.encode() for path, text in files.items()}


def package_from(folder: str, files: Mapping[str, bytes]) -> SkillPackage:
    """The package that files make. Raises BadPackage."""
    head = _front_matter(_text(files, SKILL))
    name, description = head.get("name"), head.get("description")
    if not isinstance(name, str) or len(name) > MOST_PACKAGE_NAME or not PACKAGE_NAME.fullmatch(name):
        raise BadPackage(
            f"{SKILL}: name must be of small letters, digits and single hyphens, {MOST_PACKAGE_NAME} at most"
        )
    if name != folder:
        raise BadPackage(f"{SKILL}: the name is {name!r}, and the folder's {folder!r}")
    if not isinstance(description, str) or not description.strip() or len(description) > MOST_DESCRIPTION:
        raise BadPackage(f"{SKILL}: description must be a text of at most {MOST_DESCRIPTION} characters")
    metadata = head.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise BadPackage(f"{SKILL}: metadata must be texts by name")
    version, function = metadata.get("version", "1.0.0"), metadata.get("function", name.replace("-", "_"))
    if not VERSION.fullmatch(version):
        raise BadPackage(f"{SKILL}: version must be semantic, as 1.2.0")
    if not NAME.fullmatch(function) or keyword.iskeyword(function):
        raise BadPackage(f"{SKILL}: function must be a name in Python")
    code = _text(files, CODE)
    if not code.strip() or len(code) > MOST_CODE_CHARACTERS:
        raise BadPackage(f"{CODE}: must hold code, {MOST_CODE_CHARACTERS} characters at most")
    if fault := no_program(code):
        raise BadPackage(f"{CODE}: holds {fault}")
    package = SkillPackage(
        name=function,
        description=description,
        version=version,
        code=code,
        preamble=_text(files, PREAMBLE) if PREAMBLE in files else "",
        examples=_examples(files),
        entry_points=tuple(metadata.get("entry-points", "").split()),
        provenance=_provenance(files),
    )
    if any(NOT_TEXT.search(text) for text in _texts_of(package)):
        raise BadPackage("it holds a NUL character, or half of a character")
    return package


def _texts_of(package: SkillPackage) -> Iterator[str]:
    """What stands in JSON or YAML, by escapes too."""
    yield package.description
    yield from package.entry_points
    for example in package.examples:
        yield from (example.call, example.expected)
    yield package.provenance.proposer
    yield from package.provenance.steps


def _skill_text(package: SkillPackage) -> str:
    import yaml

    description = " ".join(package.description.split())[:MOST_DESCRIPTION] or package.name
    head = {
        "name": package.package_name,
        "description": description,
        "metadata": {
            "version": package.version,
            "function": package.name,
            "entry-points": " ".join(package.entry_points),
        },
    }
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, width=MOST_TEXT_CHARACTERS).rstrip(),
        "---",
        f"# {package.name}",
        "",
        description,
        "",
        f"`{CODE}` defines {', '.join(f'`{name}`' for name in package.entry_points) or 'it'}.",
        *([f"`{PREAMBLE}` is run before it."] if package.preamble else []),
        f"`{EXAMPLES}` says what it must answer.",
        "",
    ]
    return "\n".join(lines)


def _front_matter(text: str) -> dict[str, Any]:
    import yaml

    begin, _, rest = text.partition("\n")
    head, end, _ = rest.partition("\n---")
    if begin.strip() != "---" or not end or len(head) > MOST_TEXT_CHARACTERS:
        raise BadPackage(f"{SKILL}: must begin with its head between lines of ---")
    try:
        # Aliases could make a little text an enormous value.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(head, yaml.SafeLoader)):
            raise BadPackage(f"{SKILL}: its head must have no aliases")
        found = yaml.safe_load(head)
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:
        if isinstance(error, BadPackage):
            raise
        raise BadPackage(f"{SKILL}: its head is no YAML: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise BadPackage(f"{SKILL}: its head must be names with values")
    return found


def _examples(files: Mapping[str, bytes]) -> tuple[Example, ...]:
    stated = _parsed(files, EXAMPLES)
    if not isinstance(stated, list) or not 0 < len(stated) <= MOST_EXAMPLES:
        raise BadPackage(f"{EXAMPLES}: must be a list of 1 to {MOST_EXAMPLES}: without any, nothing can be proven")
    found = []
    for each in stated:
        match each:
            case {"call": str(call), "expected": str(expected)} if (
                call.strip() and len(call) <= MOST_TEXT_CHARACTERS and len(expected) <= MOST_TEXT_CHARACTERS
            ):
                found.append(Example(call, expected))
            case _:
                raise BadPackage(f"{EXAMPLES}: each must have a call and what is expected, as texts")
    return tuple(found)


def _provenance(files: Mapping[str, bytes]) -> Provenance:
    if PROVENANCE not in files:
        return Provenance()
    stated = _parsed(files, PROVENANCE)
    match stated:
        case {"proposer": str(proposer), "steps": list(steps)} if all(isinstance(step, str) for step in steps):
            return Provenance(proposer=proposer[:200], steps=tuple(step[:1000] for step in steps[:32]))
    raise BadPackage(f"{PROVENANCE}: must have a proposer, a text, and steps, a list of texts")


def _parsed(files: Mapping[str, bytes], path: str) -> Any:
    try:
        return json.loads(_text(files, path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadPackage):
            raise
        raise BadPackage(f"{path}: is no JSON") from error


def _text(files: Mapping[str, bytes], path: str) -> str:
    if path not in files:
        raise BadPackage(f"{path} is missing")
    try:
        text = files[path].decode()
    except UnicodeDecodeError as error:
        raise BadPackage(f"{path}: is no UTF-8") from error
    if "\0" in text:
        raise BadPackage(f"{path}: holds a NUL character")
    return text.replace("\r\n", "\n")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
