"""Who may call which RPC. The contracts say it (options/v1/access.proto), and every server enforces it."""

from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from autodev.options.v1 import access_pb2
from autodev_runtime.errors import PermissionDenied
from autodev_runtime.identity import Caller, Identity, Role, role_required

ROLES = {
    access_pb2.ROLE_RUNTIME: Role.RUNTIME,
    access_pb2.ROLE_REVIEWER: Role.REVIEWER,
    access_pb2.ROLE_OPERATOR: Role.OPERATOR,
}


class Effect(Enum):
    """What an RPC does."""

    UNSTATED = access_pb2.EFFECT_UNSPECIFIED
    READ = access_pb2.EFFECT_READ
    WRITE = access_pb2.EFFECT_WRITE
    DECISION = access_pb2.EFFECT_DECISION


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an RPC."""

    role: Role | None
    """The role that it needs; None: any caller."""
    effect: Effect
    deciding_field: str = ""
    """The path of the request's field that makes a call a decision; empty: none does."""

    def check(self, identity: Identity) -> None:
        """Raises PermissionDenied for a caller who may not. Services of the mesh may everything."""
        if Role.SERVICE in identity.roles:
            return
        if self.role is not None and self.role not in identity.roles:
            raise role_required(self.role)
        if self.effect is not Effect.READ and isinstance(identity, Caller) and identity.read_only:
            raise PermissionDenied("this credential may only read", reason="READ_ONLY")

    def check_request(self, identity: Identity, request: Message) -> None:
        """Raises PermissionDenied where the request holds a decision that the caller may not make."""
        if self.deciding_field and self.decides(request) and not identity.roles & {Role.REVIEWER, Role.SERVICE}:
            raise role_required(Role.REVIEWER, f" to set {self.deciding_field}")

    @property
    def may_decide(self) -> bool:
        """Whether a call can be a decision."""
        return self.effect is Effect.DECISION or bool(self.deciding_field)

    def decides(self, request: Message) -> bool:
        """Whether a call with this request is a decision."""
        if not self.deciding_field:
            return self.effect is Effect.DECISION
        return bool(attrgetter(self.deciding_field)(request))


UNSTATED = Access(None, Effect.UNSTATED)


def method_named(path: str) -> MethodDescriptor | None:
    """The method of a path, as "/autodev.gateway.v1.EventService/Publish"; None for one that no contract names."""
    try:
        return descriptor_pool.Default().FindMethodByName(path.lstrip("/").replace("/", "."))
    except KeyError:
        return None


def access_to(method: MethodDescriptor | None) -> Access:
    """What a contract says of a method."""
    if method is None or not method.GetOptions().HasExtension(access_pb2.access):
        return UNSTATED
    stated = method.GetOptions().Extensions[access_pb2.access]
    return Access(ROLES.get(stated.role), Effect(stated.effect), stated.deciding_field)
