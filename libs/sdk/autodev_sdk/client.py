"""The Python client: one address, every service of the mesh."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import grpc

from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceStub
from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceStub
from autodev.gateway.v1.audit_service_pb2_grpc import AuditServiceStub
from autodev.gateway.v1.episode_service_pb2_grpc import EpisodeServiceStub
from autodev.gateway.v1.event_service_pb2_grpc import EventServiceStub
from autodev.gateway.v1.key_service_pb2_grpc import KeyServiceStub
from autodev.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from autodev.learning.v1.advisor_service_pb2_grpc import AdvisorServiceStub
from autodev.learning.v1.evolver_service_pb2_grpc import EvolverServiceStub
from autodev.learning.v1.memento_service_pb2_grpc import MementoServiceStub
from autodev.learning.v1.reflection_service_pb2_grpc import ReflectionServiceStub
from autodev.learning.v1.review_service_pb2_grpc import ReviewServiceStub
from autodev.learning.v1.skill_service_pb2_grpc import SkillServiceStub
from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from autodev_sdk.channel import open_channel
from autodev_sdk.tracing import trace_metadata

if TYPE_CHECKING:
    from autodev.capability.v1.capability_service_pb2_grpc import CapabilityServiceAsyncStub
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub
    from autodev.gateway.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from autodev.gateway.v1.episode_service_pb2_grpc import EpisodeServiceAsyncStub
    from autodev.gateway.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from autodev.gateway.v1.key_service_pb2_grpc import KeyServiceAsyncStub
    from autodev.gateway.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub
    from autodev.learning.v1.advisor_service_pb2_grpc import AdvisorServiceAsyncStub
    from autodev.learning.v1.evolver_service_pb2_grpc import EvolverServiceAsyncStub
    from autodev.learning.v1.memento_service_pb2_grpc import MementoServiceAsyncStub
    from autodev.learning.v1.reflection_service_pb2_grpc import ReflectionServiceAsyncStub
    from autodev.learning.v1.review_service_pb2_grpc import ReviewServiceAsyncStub
    from autodev.learning.v1.skill_service_pb2_grpc import SkillServiceAsyncStub
    from autodev.sandbox.v1.sandbox_service_pb2_grpc import SandboxServiceAsyncStub

API_KEY_METADATA = "authorization"


class AutoDevClient:
    """A connection to a gateway. Use as an asynchronous context manager; each attribute is a service's stub.

    Args:
        address: the gateway's `host:port`.
        api_key: the credential; it decides the tenant.
        root_certificates: PEM of the authority that signed the gateway's certificate; empty: those that this machine
            trusts; None: no TLS, for loopback.
        plain_text_anywhere: without TLS to another machine too, where something else protects the way.

    Raises AddressUnclear, PlainTextRefused.
    """

    def __init__(
        self,
        address: str,
        api_key: str,
        root_certificates: bytes | None = None,
        *,
        plain_text_anywhere: bool = False,
    ) -> None:
        self.address = address
        channel = open_channel(address, root_certificates, plain_text_anywhere=plain_text_anywhere)
        self._channel = _with_key(channel, api_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._channel.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, for stubs of other versions."""
        return self._channel

    @cached_property
    def events(self) -> "EventServiceAsyncStub":
        """EventService: publish, subscribe, consume."""
        return EventServiceStub(self._channel)

    @cached_property
    def episodes(self) -> "EpisodeServiceAsyncStub":
        """EpisodeService: what was reported."""
        return EpisodeServiceStub(self._channel)

    @cached_property
    def keys(self) -> "KeyServiceAsyncStub":
        """KeyService: the tenant's API keys."""
        return KeyServiceStub(self._channel)

    @cached_property
    def audit(self) -> "AuditServiceAsyncStub":
        """AuditService: who decided what."""
        return AuditServiceStub(self._channel)

    @cached_property
    def webhooks(self) -> "WebhookServiceAsyncStub":
        """WebhookService: webhooks that were given up."""
        return WebhookServiceStub(self._channel)

    @cached_property
    def capability(self) -> "CapabilityServiceAsyncStub":
        """CapabilityService: settings, maturity, quotas."""
        return CapabilityServiceStub(self._channel)

    @cached_property
    def reflection(self) -> "ReflectionServiceAsyncStub":
        """ReflectionService: failure patterns."""
        return ReflectionServiceStub(self._channel)

    @cached_property
    def memento(self) -> "MementoServiceAsyncStub":
        """MementoService: skill candidates."""
        return MementoServiceStub(self._channel)

    @cached_property
    def evolver(self) -> "EvolverServiceAsyncStub":
        """EvolverService: mutations and experiments."""
        return EvolverServiceStub(self._channel)

    @cached_property
    def advisor(self) -> "AdvisorServiceAsyncStub":
        """AdvisorService: guidance."""
        return AdvisorServiceStub(self._channel)

    @cached_property
    def skills(self) -> "SkillServiceAsyncStub":
        """SkillService: the registry, and running skills."""
        return SkillServiceStub(self._channel)

    @cached_property
    def reviews(self) -> "ReviewServiceAsyncStub":
        """ReviewService: approve and reject."""
        return ReviewServiceStub(self._channel)

    @cached_property
    def fitness(self) -> "FitnessServiceAsyncStub":
        """FitnessService: workflow variants and their scores."""
        return FitnessServiceStub(self._channel)

    @cached_property
    def sandbox(self) -> "SandboxServiceAsyncStub":
        """SandboxService: run code apart."""
        return SandboxServiceStub(self._channel)


def _with_key(channel: grpc.aio.Channel, api_key: str) -> grpc.aio.Channel:
    return _KeyedChannel(channel, ((API_KEY_METADATA, f"Bearer {api_key}"),))  # type: ignore[return-value]


class _KeyedChannel:
    """A channel that adds the key and the trace to each call. grpc.aio's interceptors would cost many times as much."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._channel = channel
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        return self._keyed(self._channel.unary_unary(*args, **options))

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        return self._keyed(self._channel.unary_stream(*args, **options))

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        return self._keyed(self._channel.stream_unary(*args, **options))

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        return self._keyed(self._channel.stream_stream(*args, **options))

    def _keyed(self, call: Any) -> Any:
        def with_key(*request: Any, metadata: Any = (), **options: Any) -> Any:
            # What the caller states itself comes first, and so is what counts.
            return call(*request, metadata=(*self._metadata, *(metadata or ()), *trace_metadata()), **options)

        return with_key
