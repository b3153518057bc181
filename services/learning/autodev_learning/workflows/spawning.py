"""Workflow variants: made in the fitness service, of a caller's workflow or by a mutation of one that is there."""

import asyncio
from collections.abc import Mapping
from typing import Any

from autodev_learning.peers.capabilities import Capabilities, Capability, reservation_key
from autodev_learning.peers.fitness import FitnessClient, Origin, Variant
from autodev_learning.workflows.mutation import mutate

SPAWN = "spawn"


class Spawning:
    """Makes variants. Every method is safe to repeat: one variant a request."""

    def __init__(self, fitness: FitnessClient, capabilities: Capabilities) -> None:
        self._fitness = fitness
        self._capabilities = capabilities

    async def workflow(
        self, request_id: str, agent_id: str, definition: Mapping[str, Any], parent_variant_id: str
    ) -> Variant:
        """A variant of the caller's workflow. Raises NotFound."""
        return await self._fitness.create(reservation_key(SPAWN, request_id), agent_id, definition, parent_variant_id)

    async def mutated(
        self, request_id: str, agent_id: str, variant_id: str, mate_variant_id: str, edit: str, seed: int
    ) -> Variant:
        """A variant that is another one by one structural change, for an agent whose skills may be improved.

        It takes one of the day's mutations, once a request, and only where something comes of it. Raises NotFound,
        InvalidArgument, PermissionDenied, ResourceExhausted, FailedPrecondition.
        """
        key = reservation_key(SPAWN, request_id)
        if (earlier := await self._fitness.made_by(key)) is not None:
            return earlier
        parent = await self._fitness.get(variant_id)
        mate = await self._fitness.get(mate_variant_id) if mate_variant_id else None
        await self._capabilities.demand(agent_id, Capability.ALPHA_EVOLVER)
        chosen = seed or int(key[-12:], 16)
        relatives = [each.definition for each in await self._fitness.relatives(variant_id)]
        # In a thread: a large workflow has many changes to look at.
        made = await asyncio.to_thread(
            mutate, parent.definition, mate.definition if mate is not None else None, relatives, chosen, edit
        )
        await self._capabilities.take(key, agent_id, Capability.ALPHA_EVOLVER)
        origin = Origin(made.edit, made.detail, chosen, mate_variant_id if made.edit == "crossover" else "")
        return await self._fitness.create(key, agent_id, made.workflow, variant_id, parent.fitness_function, origin)
