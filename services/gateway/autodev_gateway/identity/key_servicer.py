"""KeyService: protobuf to the keys that operators make, and back."""

from typing import Any

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev.gateway.v1 import key_service_pb2_grpc
from autodev.options.v1 import access_pb2
from autodev_gateway.identity.issued import IssuedKeys, now_us
from autodev_gateway.identity.issued_key import DEFAULT_OVERLAP, Grant, IssuedKey
from autodev_gateway.identity.issuing import KeyIssuer
from autodev_runtime.access import ROLES
from autodev_runtime.errors import InvalidArgument
from autodev_runtime.identity import Role, require_role
from autodev_runtime.paging import key_from, page_of, page_size

_STATED = {role: stated for stated, role in ROLES.items()}


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Serves the caller's tenant."""

    def __init__(self, issuer: KeyIssuer, issued: IssuedKeys) -> None:
        self._issuer = issuer
        self._issued = issued

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Any) -> pb.CreateKeyResponse:
        """Make a key."""
        operator = require_role(Role.OPERATOR)
        fresh = await self._issuer.create(operator, grant_of(request), request.request_id, now_us())
        await self._issued.refresh()
        return pb.CreateKeyResponse(key=key_to_proto(fresh.key), text=fresh.text)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Any) -> pb.ListKeysResponse:
        """A page of keys."""
        operator = require_role(Role.OPERATOR)
        key = key_from(request.page_token, int, str)
        size = page_size(request.page_size)
        found = await self._issuer.page(operator.tenant, (int(key[0]), str(key[1])) if key else None, size + 1)
        keys, token = page_of(found, size, key_to_proto, lambda last: [last.created_us, last.id])
        return pb.ListKeysResponse(keys=keys, next_page_token=token)

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Any) -> pb.RotateKeyResponse:
        """Have a key take another's place."""
        operator = require_role(Role.OPERATOR)
        overlap = request.overlap.ToTimedelta() if request.HasField("overlap") else DEFAULT_OVERLAP
        rotation = await self._issuer.rotate(operator, request.key_id, overlap, request.request_id, now_us())
        await self._issued.refresh()
        return pb.RotateKeyResponse(
            key=key_to_proto(rotation.fresh.key), text=rotation.fresh.text, replaced=key_to_proto(rotation.replaced)
        )

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Any) -> pb.RevokeKeyResponse:
        """End a key."""
        operator = require_role(Role.OPERATOR)
        key = await self._issuer.revoke(operator, request.key_id, now_us())
        await self._issued.refresh()
        return pb.RevokeKeyResponse(key=key_to_proto(key))


def grant_of(request: pb.CreateKeyRequest) -> Grant:
    """What a request wants a key to be. Raises InvalidArgument."""
    lifetime = request.lifetime.ToTimedelta() if request.HasField("lifetime") else None
    return Grant(request.subject, _roles(request.roles), request.read_only, request.description, lifetime)


def _roles(stated: Any) -> frozenset[Role]:
    if access_pb2.ROLE_UNSPECIFIED in stated:
        raise InvalidArgument.field("roles", "holds ROLE_UNSPECIFIED, which is no role")
    return frozenset(ROLES[role] for role in stated)


def key_to_proto(key: IssuedKey) -> pb.ApiKey:
    """A key as the contract has it."""
    message = pb.ApiKey(
        id=key.id,
        prefix=key.prefix,
        subject=key.subject,
        roles=sorted(_STATED[role] for role in key.roles),
        read_only=key.read_only,
        description=key.description,
        created_by=key.created_by,
        replaced_by=key.replaced_by,
    )
    message.created_at.FromMicroseconds(key.created_us)
    for field, moment_us in (
        (message.expires_at, key.expires_us),
        (message.revoked_at, key.revoked_us),
        (message.last_used_at, key.last_used_us),
    ):
        if moment_us is not None:
            field.FromMicroseconds(moment_us)
    return message
