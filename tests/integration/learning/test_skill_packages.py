"""Packages through the whole mesh: out of one workspace, into another, proven and reviewed there."""

import io
import zipfile
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from autodev.gateway.v1.event_pb2 import OUTCOME_SUCCESS
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1 import skill_service_pb2 as pb
from autodev_sdk import AutoDevClient
from tests.loop import FAILED, RIGHT, VALIDATED, attempt, candidate_in, let_learn, promoted_skill, publish
from tests.loop import WRONG as WRONG_CODE
from tests.mesh import AGENT, OTHER_TENANT, TENANT, Mesh
from tests.serving import refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    folder = tmp_path_factory.mktemp("packages")
    key = Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "trusted.pem").write_bytes(public)
    settings = {
        "AUTODEV_SANDBOX_LEVELS": "namespace,container",
        "AUTODEV_LEARNING_SKILL_SIGNING_KEY_FILE": str(folder / "key.pem"),
        "AUTODEV_LEARNING_SKILL_TRUSTED_KEYS_FILE": str(folder / "trusted.pem"),
    }
    async with Mesh(folder / "mesh", settings=settings) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client(TENANT) as client:
        await let_learn(client, "ada", proposers=["case_bank"])
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(mesh: Mesh) -> AsyncIterator[AutoDevClient]:
    async with mesh.client(OTHER_TENANT) as client:
        await let_learn(client)
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def package(ours: AutoDevClient) -> pb.ExportSkillResponse:
    """A skill that was learnt, as a package."""
    await publish(ours, attempt("helper", RIGHT, outcome=OUTCOME_SUCCESS))
    await publish(ours, attempt("ada", WRONG_CODE), attempt("ada", WRONG_CODE))
    skill = await promoted_skill(ours, "ada")
    return await ours.skills.ExportSkill(pb.ExportSkillRequest(skill_id=skill.id))


def taking(package: bytes, agent: str, **stated: bool) -> pb.ImportSkillRequest:
    return pb.ImportSkillRequest(request_id=uuid4().hex, agent_id=agent, package=package, **stated)


def rewritten(package: bytes, path: str, content: bytes | None) -> bytes:
    """The package with another file in that place, or without it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(buffer, "w") as made:
        for entry in old.infolist():
            if not entry.filename.endswith(path):
                made.writestr(entry.filename, old.read(entry))
        if content is not None:
            made.writestr(f"even-sum/{path}", content)
    return buffer.getvalue()


async def test_a_skill_goes_from_one_workspace_to_another(
    theirs: AutoDevClient, package: pb.ExportSkillResponse
) -> None:
    assert (package.name, package.version, package.signed) == ("even-sum", "1.0.0", True)
    wish = taking(package.package, "bob")
    taken = (await theirs.skills.ImportSkill(wish)).candidate
    assert taken.validation_status == memento.CANDIDATE_STATUS_PENDING
    assert taken.provenance.proposer == "import"
    assert package.digest_sha256 in taken.provenance.steps[0]
    assert (await theirs.skills.ImportSkill(wish)).candidate.id == taken.id
    assert not (await theirs.skills.ListSkills(pb.ListSkillsRequest())).skills
    skill = await promoted_skill(theirs, "bob")
    assert skill.active.code == RIGHT
    run = pb.ExecuteSkillRequest(request_id=uuid4().hex, skill_id=skill.id, agent_id="bob", call="even_sum([1, 2, 4])")
    assert (await theirs.skills.ExecuteSkill(run)).result_literal == "6"


async def test_what_nobody_signed_needs_the_operators_word_and_is_proven_all_the_same(
    theirs: AutoDevClient, package: pb.ExportSkillResponse
) -> None:
    unsigned = rewritten(package.package, "signature.json", None)
    refused = await refusal(theirs.skills.ImportSkill(taking(unsigned, "carl")))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "PACKAGE_UNSIGNED")
    wrong = rewritten(unsigned, "scripts/skill.py", WRONG_CODE.encode())
    await theirs.skills.ImportSkill(taking(wrong, "carl", allow_unsigned=True))
    await candidate_in(theirs, "carl", FAILED)
    await theirs.skills.ImportSkill(taking(unsigned, "dora", allow_unsigned=True))
    await candidate_in(theirs, "dora", VALIDATED)


async def test_what_was_changed_after_it_was_signed_is_refused_whoever_wishes_it(
    theirs: AutoDevClient, package: pb.ExportSkillResponse
) -> None:
    changed = rewritten(package.package, "scripts/skill.py", WRONG_CODE.encode())
    refused = await refusal(theirs.skills.ImportSkill(taking(changed, "carl", allow_unsigned=True)))
    assert refused.reason == "PACKAGE_CHANGED"


async def test_what_is_no_package_says_what_is_wrong(theirs: AutoDevClient) -> None:
    refused = await refusal(theirs.skills.ImportSkill(taking(b"no zip", "carl")))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["package"])


async def test_only_an_operator_imports(mesh: Mesh, package: pb.ExportSkillResponse) -> None:
    async with mesh.client(OTHER_TENANT, AGENT) as agent:
        refused = await refusal(agent.skills.ImportSkill(taking(package.package, "carl")))
    assert refused.code == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("query", "found"),
    [("even", True), ("SUM numbers", True), ("even odd", False), ("%", False), ("_su", True), ("  ", False)],
)
async def test_skills_are_found_by_words_in_their_own_workspace(
    mesh: Mesh, ours: AutoDevClient, package: pb.ExportSkillResponse, query: str, found: bool
) -> None:
    assert package.name
    answer = await ours.skills.SearchSkills(pb.SearchSkillsRequest(query=query))
    assert bool(answer.skills) is found
    async with mesh.client("initech") as others:
        assert not (await others.skills.SearchSkills(pb.SearchSkillsRequest(query="even"))).skills


async def test_another_workspaces_skill_cannot_be_exported(mesh: Mesh, package: pb.ExportSkillResponse) -> None:
    async with mesh.client("initech") as others:
        refused = await refusal(others.skills.ExportSkill(pb.ExportSkillRequest(skill_id="even_sum")))
    assert refused.code == "NOT_FOUND"
