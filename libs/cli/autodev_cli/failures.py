"""What a person is told of an RPC that failed: one line with what, where, and what to do."""

import re

import grpc

from autodev_runtime.errors import InvalidArgument
from autodev_runtime.status import error_from_rpc, reason_of

_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "is the mesh up? Start one with `autodev up`, or give --address or --data-dir",
    grpc.StatusCode.UNAUTHENTICATED: "give --api-key-file or AUTODEV_API_KEY, or the running mesh's --data-dir",
    grpc.StatusCode.PERMISSION_DENIED: "use a key that has the role",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the mesh is busy; try again, or look into its logs directory",
    grpc.StatusCode.UNIMPLEMENTED: "the gateway is of another version than this command",
}
ADVICE_BY_REASON = {
    "DATABASE_UNAVAILABLE": "bring the database back; services connect again by themselves",
    "DATABASE_BUSY": "repeat; look for long transactions in the database",
    "DISK_FULL": "make room on the database's disk; nothing is to be restarted",
    "LOG_UNAVAILABLE": "bring the event log's database or NATS back, and repeat",
    "LOG_BUSY": "repeat in a moment; a faster disk takes more",
    "REQUEST_IN_PROGRESS": "repeat: the answer is then the first one's",
    "REQUEST_ID_REUSED": "give each request an id of its own",
    "TOO_MANY_CALLS": "repeat, or run more replicas",
    "QUEUE_FULL": "repeat, or run more sandboxes, or SLOTS where there are cores",
    "ISOLATION_UNAVAILABLE": "`autodev status` says what each level needs",
    "PROPOSALS_FULL": "repeat, or run more replicas of learning",
    "EXPERIMENTS_FULL": "repeat once one is over, or cancel one (`autodev evolve cancel`)",
    "EXPERIMENT_TOO_LARGE": "ask for fewer steps or a smaller batch, or begin with a shorter program",
    "KEYS_STALE": "bring the gateway's database back",
    "JWKS_UNAVAILABLE": "mend the identity provider, or the way to it",
    "PEER_REFUSED": "give the service its own certificate",
    "EXTENSION_AWAY": "see to the extension; it is asked again after EXTENSION_REST_S",
    "EXTENSION_BUSY": "see to the extension; it is asked again after EXTENSION_REST_S",
    "EXTENSION_BROKE_OFF": "see to the extension: it may have done what it was asked",
    "EXTENSION_QUESTION_TOO_LARGE": "ask for less, or raise EXTENSION_MAX_MESSAGE_BYTES and the extension's own bound",
    "EXTENSION_ANSWER_TOO_LARGE": "ask for less, or raise EXTENSION_MAX_MESSAGE_BYTES",
    "SERVICE_AWAY": "repeat; see `autodev status`, and the service's own log",
    "GROUP_ELSEWHERE": "repeat, at the gateway that serves the group",
    "DRAINING": "repeat",
    "QUOTA_EXCEEDED": "wait for the reset, or raise the limit with `autodev settings set`",
    "CAPABILITY_DISABLED": "turn it on with `autodev settings set --enabled`",
    "MATURITY_TOO_LOW": "raise it with `autodev agents set-maturity`",
    "READ_ONLY": "use a key that may also write",
    "KEY_ROTATED": "rotate the key that has its place",
    "KEY_ENDED": "make another with `autodev keys create`",
    "ALREADY_DECIDED": "see `autodev review show`",
    "VERSION_NOT_ACTIVE": "runs of the version in use show whether it could be better",
    "PACKAGE_UNSIGNED": "an operator may take it all the same: --allow-unsigned",
    "PACKAGE_UNTRUSTED": "an operator may take it all the same: --allow-unsigned",
}
"""What to do, by the reason that the mesh states; docs/operations.md says more of most."""

_MISMATCHES = [
    (re.compile(pattern), mismatch)
    for pattern, mismatch in (
        # No connection came about; one that is lost under a call is told without an address.
        (r"last error: UNAVAILABLE: \S+: Socket closed", "speaks TLS, or is no gateway: give --ca-file"),
        ("WRONG_VERSION_NUMBER", "speaks plain text: leave --ca-file (AUTODEV_CA_FILE) out"),
        ("CERTIFICATE_VERIFY_FAILED: ([^:]+)", r"has a certificate that does not hold by --ca-file: \1"),
        ("Hostname Verification", "has a certificate for other names: give one of them by --address"),
    )
]
"""What gRPC says where the two ends do not speak the same, and what that means."""


def line_of(error: grpc.aio.AioRpcError, address: str) -> str:
    """The line for an RPC that failed at a gateway."""
    reason, code = reason_of(error), error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        if not reason:
            return _no_answer(_detail(error), address)
        return _with(ADVICE_BY_REASON.get(reason), f"{_detail(error)} [{reason} from {address}]")
    return _with(ADVICE_BY_REASON.get(reason, _ADVICE.get(code)), f"{_text(error)} [{code.name} from {address}]")


def _no_answer(detail: str, address: str) -> str:
    for pattern, mismatch in _MISMATCHES:
        if found := pattern.search(detail):
            return f"{address} {found.expand(mismatch)}"
    return f"no answer from {address} ({detail}): {_ADVICE[grpc.StatusCode.UNAVAILABLE]}"


def _with(advice: str | None, told: str) -> str:
    return f"{told}: {advice}" if advice else told


def _text(error: grpc.aio.AioRpcError) -> str:
    known = error_from_rpc(error)
    # The raw text says what was not found in the service's own words; fields at fault are in the details.
    return known.message if isinstance(known, InvalidArgument) else _detail(error)


def _detail(error: grpc.aio.AioRpcError) -> str:
    lines = (error.details() or error.code().name).splitlines()
    return lines[0] if lines else error.code().name
