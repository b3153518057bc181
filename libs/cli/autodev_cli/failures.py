"""What a person is told of an RPC that failed: one line with what, where, and what to do."""

import grpc

from autodev_runtime.errors import AutoDevError, InvalidArgument
from autodev_runtime.status import error_from_rpc

_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "is the mesh up? Start one with `autodev up`, or give --address or --data-dir",
    grpc.StatusCode.UNAUTHENTICATED: "give --api-key or AUTODEV_API_KEY, or the running mesh's --data-dir",
    grpc.StatusCode.PERMISSION_DENIED: "use a key that has the role",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the mesh is busy; try again, or look into its logs directory",
    grpc.StatusCode.UNIMPLEMENTED: "the gateway is of another version than this command",
}
_ADVICE_BY_REASON = {
    "ISOLATION_UNAVAILABLE": "",
    "QUOTA_EXCEEDED": "wait for the reset, or raise the limit with `autodev settings set`",
    "CAPABILITY_DISABLED": "turn it on with `autodev settings set --enabled`",
    "MATURITY_TOO_LOW": "raise it with `autodev agents set-maturity`",
    "READ_ONLY": "use a key that may also write",
    "KEY_ROTATED": "rotate the key that has its place",
    "KEY_ENDED": "make another with `autodev keys create`",
    "ALREADY_DECIDED": "see `autodev review show`",
    "PACKAGE_UNSIGNED": "an operator may take it all the same: --allow-unsigned",
    "PACKAGE_UNTRUSTED": "an operator may take it all the same: --allow-unsigned",
}


def line_of(error: grpc.aio.AioRpcError, address: str) -> str:
    """The line for an RPC that failed at a gateway."""
    known = error_from_rpc(error)
    advice = _ADVICE_BY_REASON.get(known.reason, _ADVICE.get(error.code(), ""))
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"no answer from {address} ({_detail(error)}): {advice}"
    return f"{_text(known, error)} [{error.code().name} from {address}]" + (f": {advice}" if advice else "")


def _text(known: AutoDevError, error: grpc.aio.AioRpcError) -> str:
    # The raw text says what was not found in the service's own words; fields at fault are in the details.
    return known.message if isinstance(known, InvalidArgument) else _detail(error)


def _detail(error: grpc.aio.AioRpcError) -> str:
    lines = (error.details() or error.code().name).splitlines()
    return lines[0] if lines else error.code().name
