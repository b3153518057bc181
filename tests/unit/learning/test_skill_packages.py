"""Skill packages: what goes out comes in again, and nothing else does."""

import contextlib
import io
import json
import random
import stat
import struct
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from autodev_learning.examples import Example
from autodev_learning.skills.packages.archive import ArchiveBounds, BadPackage, pack, unpack
from autodev_learning.skills.packages.contents import (
    EXAMPLES,
    SIGNATURE,
    SKILL,
    SkillPackage,
    files_of,
    package_from,
)
from autodev_learning.skills.packages.exchange import packed
from autodev_learning.skills.packages.signing import KeyFileError, Signer, TrustedKeys, Untrusted
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.errors import FailedPrecondition

BOUNDS = ArchiveBounds(files=8, file_bytes=4096, total_bytes=8192)
PACKAGE = SkillPackage(
    name="even_sum",
    description="Sums the even numbers: of a list",
    version="1.2.0",
    code="def even_sum(values):\n    return sum(v for v in values if v % 2 == 0)\n",
    preamble="import math\n",
    examples=(Example("even_sum([1, 2])", "2"), Example("even_sum([])", "0")),
    entry_points=("even_sum",),
    provenance=Provenance("search", ("changed == 1 to == 0",)),
)

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=200)
packages = st.builds(
    SkillPackage,
    name=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,99}", fullmatch=True).filter(lambda name: name.strip("_")),
    description=texts.map(lambda text: " ".join(text.split())).filter(bool),
    version=st.from_regex(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})", fullmatch=True),
    code=texts.map(lambda text: "\n".join(["x = 1", *(f"# {line}" for line in text.split("\n"))])),
    preamble=texts,
    examples=st.lists(st.builds(Example, texts.filter(str.strip), texts), min_size=1, max_size=4).map(tuple),
    entry_points=st.lists(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), max_size=3).map(tuple),
    provenance=st.builds(Provenance, texts, st.lists(texts, max_size=3).map(tuple)),
)


@given(packages)
def test_what_is_packed_is_what_is_unpacked(package: SkillPackage) -> None:
    folder, files = unpack(pack(package.package_name, files_of(package)), ArchiveBounds())
    assert package_from(folder, files) == package


def test_the_largest_skill_that_can_be_learnt_comes_in_again() -> None:
    examples = tuple(Example(f"{100 * 'f'}_2({number})", "1") for number in range(256))
    largest = replace(PACKAGE, name=100 * "f" + "_2", examples=examples)
    assert package_from(largest.package_name, files_of(largest)) == largest


def test_examples_that_fill_an_event_go_out_and_come_in_again() -> None:
    examples = tuple(Example(f"even_sum([{number}, *{'7' * 3300!r}])", "'\u00e9\"\\n'" * 120) for number in range(256))
    exported = packed(replace(PACKAGE, examples=examples), None, ArchiveBounds())
    assert package_from(*unpack(exported.data, ArchiveBounds())) == exported.package


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"examples": (Example("even_sum([1])", "1"),) * 257}, "a list of 1 to 256"),
        ({"examples": ()}, "a list of 1 to 256"),
        ({"examples": (Example("even_sum([1])", "1" * 16_384),) * 256}, "is larger than"),
        ({"preamble": f"NOISE = '{random.Random(1).randbytes(2_000_000).hex()}'\n"}, "is larger than 2097152 bytes"),
    ],
)
def test_what_nobody_could_take_in_does_not_go_out(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(FailedPrecondition, match=told) as refused:
        packed(replace(PACKAGE, **changed), None, ArchiveBounds())
    assert refused.value.reason == "PACKAGE_UNFIT"


def test_the_same_skill_makes_the_same_zip() -> None:
    assert pack("even-sum", files_of(PACKAGE)) == pack("even-sum", files_of(PACKAGE))


def test_any_reader_of_agent_skills_can_read_its_head() -> None:
    text = files_of(PACKAGE)[SKILL].decode()
    head = yaml.safe_load(text.split("---")[1])
    assert (head["name"], head["description"]) == ("even-sum", PACKAGE.description)


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def linked(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"no zip", "no zip"),
        (zipped(), "one folder"),
        (zipped(("SKILL.md", b"x")), "one folder"),
        (zipped(("a/SKILL.md", b"x"), ("b/SKILL.md", b"x")), "one folder"),
        (zipped(("a/../../etc/passwd", b"x")), "leads out"),
        (zipped(("/etc/passwd", b"x")), "leads out"),
        (zipped(("a//b", b"x")), "leads out"),
        (zipped(("a\\..\\b", b"x")), "no path"),
        (zipped(("c:/b", b"x")), "no path"),
        (zipped(("a/\n", b"x")), "no path"),
        (zipped(("a/" + "b" * 300, b"x")), "no path"),
        (zipped((linked("a/link"), b"/etc/passwd")), "no ordinary file"),
        (zipped(("a/SKILL.md", b"x"), ("a/skill.md", b"y")), "twice"),
        (zipped(*((f"a/{number}", b"x") for number in range(9))), "more than 8 files"),
        (zipped(("a/bomb", b"\0" * 1_000_000)), "larger"),
        (zipped(*((f"a/{number}", b"x" * 4000) for number in range(3))), "larger"),
        (zipped(("a/bomb", b"\0" * 1_000_000), method=zipfile.ZIP_BZIP2), "neither stored nor deflated"),
        (zipped(("a/SKILL.md", b"x"), method=zipfile.ZIP_LZMA), "neither stored nor deflated"),
    ],
)
def test_what_is_no_package_is_refused_before_it_is_anywhere(data: bytes, told: str) -> None:
    with pytest.raises(BadPackage, match=told):
        unpack(data, BOUNDS)


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
def test_damage_is_a_bad_package_or_nothing(tail: bytes, place: int, byte: int) -> None:
    data = bytearray(pack(PACKAGE.package_name, files_of(PACKAGE)))
    data[place % len(data)] = byte
    for damaged in (bytes(data), bytes(data[: place % len(data)]), tail):
        try:
            folder, files = unpack(damaged, ArchiveBounds())
            package_from(folder, files)
        except BadPackage:
            continue


def test_each_damaged_byte_is_a_bad_package_or_nothing() -> None:
    whole = zipped(("a/SKILL.md", b"x"), method=zipfile.ZIP_STORED)
    for place in range(len(whole)):
        for byte in (0, 255):
            with contextlib.suppress(BadPackage):
                unpack(whole[:place] + bytes([byte]) + whole[place + 1 :], BOUNDS)


def test_a_file_that_begins_further_than_anything_can_is_damage() -> None:
    entry = zipfile.ZipInfo("a/SKILL.md")
    entry.extra = struct.pack("<HHQ", 1, 8, 2**63)
    data = bytearray(zipped((entry, b"x")))
    offset = data.index(b"PK\x01\x02") + 42
    data[offset : offset + 4] = b"\xff" * 4
    with pytest.raises(BadPackage, match="no zip"):
        unpack(bytes(data), BOUNDS)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        (SKILL, b"# no head", "must begin with its head"),
        (SKILL, b"---\n- a list\n---\n", "names with values"),
        (SKILL, b"---\nname: [\n---\n", "no YAML"),
        (SKILL, b"---\nname: &a x\ndescription: *a\n---\n", "aliases"),
        (SKILL, b"---\nname: Even_Sum\ndescription: x\n---\n", "small letters"),
        (SKILL, b"---\nname: other\ndescription: x\n---\n", "the folder's"),
        (SKILL, b"---\nname: even-sum\n---\n", "description"),
        (SKILL, b"---\nname: even-sum\ndescription: x\nmetadata: {version: '1.2'}\n---\n", "semantic"),
        (SKILL, b"---\nname: even-sum\ndescription: x\nmetadata: {version: '01.2.0'}\n---\n", "semantic"),
        (SKILL, b"---\nname: even-sum\ndescription: x\nmetadata: {function: 'a b'}\n---\n", "name in Python"),
        (SKILL, b"---\nname: even-sum\ndescription: x\nmetadata: {function: 'class'}\n---\n", "name in Python"),
        (SKILL, b"---\nname: even-sum\ndescription: !!bool foo\n---\n", "no YAML"),
        (SKILL, b"---\nname: even-sum\ndescription: !!timestamp foo\n---\n", "no YAML"),
        (SKILL, b"---\nname: even-sum\ndescription: !!int ''\n---\n", "no YAML"),
        (SKILL, b'---\nname: even-sum\ndescription: "a\\0b"\n---\n', "NUL"),
        (SKILL, b"\xff", "no UTF-8"),
        ("scripts/skill.py", b"  \n", "must hold code"),
        ("scripts/skill.py", b"# TODO: implement\n", "scripts/skill.py: holds no code"),
        ("scripts/skill.py", b"def even_sum(:\n", "scripts/skill.py: holds no valid Python: SyntaxError"),
        (EXAMPLES, b"[]", "without any"),
        (EXAMPLES, b'[{"call": "f()"}]', "what is expected"),
        (EXAMPLES, b'[{"call": "f(\'\\ud800\')", "expected": "1"}]', "half of a character"),
        (EXAMPLES, b"[" * 100_000, "no JSON"),
        ("provenance.json", b"[]", "must have a proposer"),
    ],
)
def test_a_file_that_is_wrong_is_named(path: str, content: bytes, told: str) -> None:
    with pytest.raises(BadPackage, match=told):
        package_from("even-sum", files_of(PACKAGE) | {path: content})


KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def test_a_signature_by_a_trusted_key_vouches_for_every_file() -> None:
    files = files_of(PACKAGE)
    files[SIGNATURE] = Signer(KEY).sign(files)
    trusted = TrustedKeys([KEY.public_key()])
    assert trusted.check(files).key_id == json.loads(files[SIGNATURE])["key_id"]
    for path in files_of(PACKAGE):
        with pytest.raises(Untrusted) as changed:
            trusted.check(files | {path: files[path] + b" "})
        assert changed.value.reason == "PACKAGE_CHANGED"
    with pytest.raises(Untrusted):
        trusted.check(files | {"scripts/more.py": b""})
    with pytest.raises(Untrusted) as unknown:
        TrustedKeys([OTHER.public_key()]).check(files)
    assert unknown.value.reason == "PACKAGE_UNTRUSTED"
    with pytest.raises(Untrusted) as unsigned:
        trusted.check(files_of(PACKAGE))
    assert unsigned.value.reason == "PACKAGE_UNSIGNED"


def test_nobody_signs_in_anothers_name() -> None:
    files = files_of(PACKAGE)
    forged = json.loads(Signer(OTHER).sign(files)) | {"key_id": json.loads(Signer(KEY).sign(files))["key_id"]}
    with pytest.raises(Untrusted) as caught:
        TrustedKeys([KEY.public_key()]).check(files | {SIGNATURE: json.dumps(forged).encode()})
    assert caught.value.reason == "PACKAGE_CHANGED"


def test_keys_are_read_from_files_that_hold_such_keys(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "trusted.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pems = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (OTHER, KEY)]
    public.write_bytes(b"".join(pems))
    files = files_of(PACKAGE)
    files[SIGNATURE] = Signer.read(private).sign(files)
    assert TrustedKeys.read(public).check(files)
    for wrong in (tmp_path / "none", private):
        with pytest.raises(KeyFileError):
            TrustedKeys.read(wrong)
    with pytest.raises(KeyFileError):
        Signer.read(public)
