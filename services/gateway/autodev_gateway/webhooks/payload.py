"""What a webhook's body says: JSON to a call of FitnessService.

The shape is the one that Standard Webhooks recommends: `type`, `timestamp`, `data`. The kinds of signals and their
bounds are the contract's own (fitness_service.proto), so a signal that is added there is known here.
"""

import json
import re
from typing import Any, NoReturn

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_runtime.errors import FieldViolation, InvalidArgument
from autodev_runtime.rules import check_message

WEBHOOK_ID = re.compile(r"[A-Za-z0-9_:/@-]{1,96}")
_KINDS = {field.name: field for field in pb.ExternalSignal.DESCRIPTOR.oneofs_by_name["kind"].fields}
_VALUED = {name for name, field in _KINDS.items() if field.type == field.TYPE_DOUBLE}
_IN_JSON = {"variant_id": "data.variant_id", "signals[0].id": "webhook-id", "signals[0].occurred_at": "timestamp"}


def call_of(source: str, webhook_id: str, body: bytes) -> pb.EvaluateDelayedWebhookRequest:
    """The call that passes a webhook on. Its signal's id is the source's and the webhook's: it counts once.

    Raises InvalidArgument, naming every field at fault.
    """
    if WEBHOOK_ID.fullmatch(webhook_id) is None:
        # A full stop parts what is signed: an id that holds one could be read in two ways.
        raise InvalidArgument.field("webhook-id", "must be 1 to 96 of A-Z a-z 0-9 _ : / @ -")
    stated = _object(body)
    data = stated.get("data")
    if not isinstance(data, dict):
        raise InvalidArgument.field("data", "must be an object with variant_id")
    violations: list[FieldViolation] = []
    signal = pb.ExternalSignal(id=f"{source}:{webhook_id}")
    _set_kind(signal, stated.get("type"), data, violations)
    _set_time(signal, stated.get("timestamp"), violations)
    variant_id = data.get("variant_id")
    if not isinstance(variant_id, str):
        violations.append(FieldViolation("data.variant_id", "must be the id of a variant"))
        variant_id = "-"
    call = pb.EvaluateDelayedWebhookRequest(variant_id=_encodable(variant_id), signals=[signal])
    try:
        check_message(call)
    except InvalidArgument as error:
        violations += [
            FieldViolation(_IN_JSON.get(each.field, "data.value"), each.description) for each in error.violations
        ]
    if violations:
        raise InvalidArgument(violations)
    return call


def _object(body: bytes) -> dict[str, Any]:
    try:
        stated = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidArgument.field("body", "must be JSON in UTF-8") from None
    if not isinstance(stated, dict):
        raise InvalidArgument.field("body", "must be a JSON object with type and data")
    return stated


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _set_kind(signal: pb.ExternalSignal, kind: object, data: dict[str, Any], violations: list[FieldViolation]) -> None:
    if not isinstance(kind, str) or kind not in _KINDS:
        violations.append(FieldViolation("type", f"must be one of {', '.join(_KINDS)}"))
    elif kind in _VALUED:
        value = _number(data.get("value"))
        if value is None:
            violations.append(FieldViolation("data.value", f"must be a number: {kind} says how much"))
        else:
            setattr(signal, kind, value)
    elif "value" in data:
        violations.append(FieldViolation("data.value", f"does not belong to {kind}"))
    else:
        setattr(signal, kind, True)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _set_time(signal: pb.ExternalSignal, stated: object, violations: list[FieldViolation]) -> None:
    if stated is None:
        return
    try:
        if not isinstance(stated, str):
            raise ValueError
        signal.occurred_at.FromJsonString(stated)
    except (ValueError, OverflowError):
        violations.append(FieldViolation("timestamp", "must be a time as 2026-01-31T12:00:00Z"))


def _encodable(text: str) -> str:
    # JSON can escape halves of surrogate pairs, which no protobuf string holds; they are no identifier either.
    return text.encode(errors="replace").decode()
