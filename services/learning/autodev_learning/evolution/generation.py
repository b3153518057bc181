"""Generating mutations, within the day's limit."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autodev_learning import metrics
from autodev_learning.evolution.mutations import Mutation, Order, mutation_from, opportunity_key, request_key
from autodev_learning.evolution.opportunities import Trigger, no_longer_in_use
from autodev_learning.evolution.rewriting import Program, Rewrite, Rewriter
from autodev_learning.joining import Joined
from autodev_learning.peers.capabilities import Capabilities, Capability, reservation_key
from autodev_learning.peers.patience import is_outage
from autodev_runtime.errors import PermissionDenied, ResourceExhausted

if TYPE_CHECKING:
    from autodev_learning.store.evolution import EvolutionStore
    from autodev_learning.store.mutations import MutationStore
    from autodev_learning.store.skills import SkillStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """Why a rewrite is wanted; or `found`, one that a search has found already."""

    trigger: Trigger | None = None
    opportunity_id: str | None = None
    found: Rewrite | None = None


class Generation:
    """Writes mutations: for an opportunity, on request, or as a step of an experiment. One an order's key."""

    def __init__(
        self,
        mutations: "MutationStore",
        evolution: "EvolutionStore",
        skills: "SkillStore",
        capabilities: Capabilities,
        rewriter: Rewriter,
    ) -> None:
        self._mutations = mutations
        self._evolution = evolution
        self._skills = skills
        self._capabilities = capabilities
        self._rewriter = rewriter
        self._joined: Joined[Mutation] = Joined()

    async def on_request(self, request_id: str, skill_id: str, agent_id: str) -> Mutation:
        """Write a mutation of a skill's active version; the same request again gives the first one.

        Raises NotFound, PermissionDenied, ResourceExhausted (QUOTA_EXCEEDED; PROPOSALS_FULL).
        """
        key = request_key(request_id)
        if (known := await self._mutations.find(key)) is not None:
            return known
        skill = await self._skills.get(skill_id)
        self._rewriter.workshop.refuse_if_full()
        order = Order(key, reservation_key("mutation", key), skill.id, skill.name, skill.active.version, agent_id)
        return await self.generate(order, Wish(), "")

    async def on_opportunity(self, opportunity_id: str, caused_by: str) -> None:
        """Write the mutation of an opportunity that was started, once; or keep why there is none: a limit, say."""
        opportunity = await self._evolution.opportunity(opportunity_id)
        if opportunity is None or not opportunity.under_way:
            return
        active = (await self._skills.get(opportunity.skill_id)).active.version
        if fault := no_longer_in_use(opportunity.skill_version, active):
            await self._evolution.skip(opportunity_id, fault)
            return
        order = Order(
            opportunity_key(opportunity.id),
            opportunity.id,
            opportunity.skill_id,
            opportunity.skill_name,
            opportunity.skill_version,
            opportunity.agent_id,
        )
        try:
            await self.generate(order, Wish(trigger=opportunity.trigger, opportunity_id=opportunity.id), caused_by)
        except (ResourceExhausted, PermissionDenied) as error:
            if is_outage(error):
                raise
            log.info("opportunity %s gets no mutation: %s", opportunity_id, error.reason)
            await self._evolution.skip(opportunity_id, error.message)

    async def generate(self, order: Order, wish: Wish, caused_by: str) -> Mutation:
        """Write an order's mutation; who orders the same meanwhile, or later, gets the same one.

        Raises ResourceExhausted (QUOTA_EXCEEDED), PermissionDenied, and what the sandbox raises.
        """
        return await self._joined.once(f"{order.skill_id}:{order.key}", lambda: self._generate(order, wish, caused_by))

    async def _generate(self, order: Order, wish: Wish, caused_by: str) -> Mutation:
        if (known := await self._mutations.find(order.key)) is not None:
            return known
        async with self._capabilities.use(order.reservation_key, order.agent_id, Capability.ALPHA_EVOLVER) as use:
            rewrite = await self._rewrite(order, wish)
            await use.take()
        mutation = await self._mutations.add(mutation_from(order, rewrite), wish.opportunity_id, caused_by)
        metrics.MUTATIONS.labels("written" if mutation.code else "not_written").inc()
        log.info(
            "mutation %s of %s: %d programs in %.1f s%s",
            mutation.id,
            mutation.parent_tool_id,
            mutation.provenance.programs_tried,
            mutation.provenance.seconds,
            "; none" if mutation.execution_error else "",
        )
        return mutation

    async def _rewrite(self, order: Order, wish: Wish) -> Rewrite:
        if wish.found is not None:
            return wish.found
        skill = await self._skills.get(order.skill_id)
        parent = await self._skills.version(order.skill_id, order.parent_version)
        program = Program(
            code=parent.code,
            preamble=parent.preamble,
            description=skill.description,
            entry_points=parent.entry_points,
            inputs=await self._evolution.known_inputs(skill.id, parent),
        )
        workspace = await self._capabilities.workspace()
        return await self._rewriter.rewrite(program, wish.trigger, workspace.proposers)
