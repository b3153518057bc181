"""Taking skills out as packages, and taking packages in as candidates, which are proven and reviewed like any other."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodev_learning.examples import split_held_out
from autodev_learning.memento.candidates import AnalyzedFailure, Candidate
from autodev_learning.skills.packages.archive import ArchiveBounds, BadPackage, pack, unpack
from autodev_learning.skills.packages.contents import SIGNATURE, SkillPackage, files_of, package_from
from autodev_learning.skills.packages.signing import Signer, TrustedKeys, Untrusted, digest
from autodev_learning.skills.provenance import Provenance
from autodev_runtime.columns import now
from autodev_runtime.errors import FailedPrecondition, InvalidArgument
from autodev_sdk.events import uuid7

if TYPE_CHECKING:
    from autodev_learning.store.candidates import CandidateStore
    from autodev_learning.store.skills import SkillStore

PROPOSER = "import"
MOST_STEPS = 16


@dataclass(frozen=True)
class Exported:
    """A package's zip, and what is in it."""

    package: SkillPackage
    data: bytes
    digest: str
    signed: bool


@dataclass(frozen=True)
class Import:
    """A wish to take a package in for an agent. `allow_unsigned`: though nobody vouches for it whom we trust."""

    request_id: str
    agent_id: str
    data: bytes
    allow_unsigned: bool
    operator: str


class Exchange:
    """Packages of the current tenant's skills, out and in."""

    def __init__(
        self,
        skills: "SkillStore",
        candidates: "CandidateStore",
        signer: Signer | None,
        trusted: TrustedKeys,
        bounds: ArchiveBounds,
    ) -> None:
        self._skills = skills
        self._candidates = candidates
        self._signer = signer
        self._trusted = trusted
        self._bounds = bounds

    async def take_out(self, id_or_name: str, version: str) -> Exported:
        """A skill's version (empty: the active one) as a package, signed where there is a key.

        Raises NotFound; FailedPrecondition (PACKAGE_UNFIT) where nobody could take it in.
        """
        skill = await self._skills.get(id_or_name)
        wanted = await self._skills.version(skill.id, version) if version else skill.active
        package = SkillPackage(
            name=skill.name,
            description=skill.description,
            version=wanted.version,
            code=wanted.code,
            preamble=wanted.preamble,
            examples=wanted.examples,
            entry_points=wanted.entry_points,
            provenance=wanted.provenance,
        )
        return await asyncio.to_thread(packed, package, self._signer, self._bounds)

    async def take_in(self, wish: Import) -> Candidate:
        """Make a candidate of a package; the same request again gives the first one.

        Raises InvalidArgument for what is no package; FailedPrecondition (PACKAGE_UNSIGNED, PACKAGE_UNTRUSTED,
        PACKAGE_CHANGED).
        """
        key = f"import:{wish.request_id}"
        if (known := await self._candidates.find(key)) is not None:
            return known
        return await self._candidates.add(await asyncio.to_thread(self._unpacked, wish, key), "")

    def _unpacked(self, wish: Import, key: str) -> Candidate:
        try:
            folder, files = unpack(wish.data, self._bounds)
            package = package_from(folder, files)
            vouched = self._vouched(files, wish)
        except BadPackage as error:
            raise InvalidArgument.field("package", str(error)) from None
        return candidate_of(package, key, wish, digest(files), vouched)

    def _vouched(self, files: dict[str, bytes], wish: Import) -> str:
        try:
            return f"signed by the trusted key {self._trusted.check(files).key_id}"
        except Untrusted as error:
            if wish.allow_unsigned and error.reason != "PACKAGE_CHANGED":
                return f"{wish.operator} took it though {error}"
            raise FailedPrecondition(str(error), reason=error.reason) from None


def packed(package: SkillPackage, signer: Signer | None, bounds: ArchiveBounds) -> Exported:
    """The package, as whoever has the same bounds can take it in. Raises FailedPrecondition (PACKAGE_UNFIT)."""
    files = files_of(package)
    told = digest(files)
    if signer is not None:
        files[SIGNATURE] = signer.sign(files)
    data = pack(package.package_name, files)
    try:
        package_from(*unpack(data, bounds))
    except BadPackage as error:
        raise FailedPrecondition(f"the package could not be taken in: {error}", reason="PACKAGE_UNFIT") from None
    return Exported(package, data, told, signer is not None)


def candidate_of(package: SkillPackage, key: str, wish: Import, told: str, vouched: str) -> Candidate:
    """The candidate that a package makes: pending, as every other."""
    visible, held_out = split_held_out(package.examples)
    wrote = package.provenance
    steps = (
        f"imported from {package.package_name} {package.version}, sha256:{told}: {vouched}",
        *([f"written by {wrote.proposer}"] if wrote.proposer else []),
        *wrote.steps,
    )
    return Candidate(
        id=uuid7(),
        request_id=key,
        agent_id=wish.agent_id,
        source_episode_id="",
        skill_name=package.name,
        skill_description=package.description,
        code=package.code,
        preamble=package.preamble,
        failing_code="",
        examples=package.examples,
        failure=AnalyzedFailure(
            task_description=package.description,
            error_signature="",
            tool_calls=(),
            segments=(),
            visible=visible,
            held_out_examples=len(held_out),
            episode_ids=(),
        ),
        provenance=Provenance(proposer=PROPOSER, steps=steps[:MOST_STEPS]),
        created_at=now(),
    )


def signer_from(path: Path | None) -> Signer | None:
    """The operator's signer; None where there is no key. Raises KeyFileError."""
    return Signer.read(path) if path is not None else None


def trusted_from(path: Path | None) -> TrustedKeys:
    """The keys that the operator trusts; none without a file: then no signature counts. Raises KeyFileError."""
    return TrustedKeys.read(path) if path is not None else TrustedKeys()
