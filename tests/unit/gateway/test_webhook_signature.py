"""Signatures of webhooks: what the specification's own library signs is taken, and nothing that differs by a byte."""

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from autodev_gateway.webhooks.signature import MAX_SIGNATURES, Attempt, is_signed, secret_from, signature_of

SECRET, OTHER_SECRET = bytes(range(32)), bytes(range(1, 33))
NOW_S = 1_700_000_000.0
TOLERANCE_S = 300.0
BODY = b'{"type":"invoice_created"}'


def attempt_at(seconds: int, body: bytes = BODY, secret: bytes = SECRET, webhook_id: str = "msg_1") -> Attempt:
    return Attempt(webhook_id, str(seconds), signature_of(secret, webhook_id, str(seconds), body))


def accepted(attempt: Attempt, body: bytes = BODY, *secrets: bytes) -> bool:
    return is_signed(secrets or (SECRET,), attempt, body, NOW_S, TOLERANCE_S)


@given(st.text(st.characters(codec="utf-8")), st.binary(min_size=24, max_size=64))
def test_the_specifications_own_library_signs_as_we_do(text: str, secret: bytes) -> None:
    theirs = Webhook("whsec_" + base64.b64encode(secret).decode())
    signature = theirs.sign("msg_1", datetime.fromtimestamp(NOW_S, UTC), text)
    assert accepted(Attempt("msg_1", f"{NOW_S:.0f}", signature), text.encode(), secret)


def test_the_specifications_own_library_takes_what_we_sign() -> None:
    body, seconds = json.dumps({"a": 1}).encode(), int(time.time())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature_of(SECRET, "msg_1", str(seconds), body),
    }
    assert Webhook("whsec_" + base64.b64encode(SECRET).decode()).verify(body, headers) == {"a": 1}


@given(
    data=st.data(), body=st.binary(min_size=1, max_size=60), part=st.sampled_from(["id", "time", "signature", "body"])
)
def test_any_changed_byte_is_refused(data: st.DataObject, body: bytes, part: str) -> None:
    attempt = attempt_at(int(NOW_S), body)
    assert accepted(attempt, body)
    stated = {
        "id": attempt.webhook_id.encode(),
        "time": attempt.timestamp.encode(),
        "signature": attempt.signatures.encode(),
        "body": body,
    }
    whole = bytearray(stated[part])
    place = data.draw(st.integers(0, len(whole) - 1))
    # A header's bytes come as Latin characters or escaped; a body's as they are.
    whole[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    stated[part] = bytes(whole)
    names = (stated[name].decode(errors="surrogateescape") for name in ("id", "time", "signature"))
    assert not accepted(Attempt(*names), stated["body"])


@given(data=st.data(), part=st.sampled_from(["id", "time", "signature", "body"]))
def test_any_byte_more_or_less_is_refused(data: st.DataObject, part: str) -> None:
    attempt = attempt_at(int(NOW_S))
    stated = {
        "id": attempt.webhook_id,
        "time": attempt.timestamp,
        "signature": attempt.signatures,
        "body": BODY.decode(),
    }
    whole = stated[part]
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    # A space parts signatures: at an end it makes an empty one more.
    added = data.draw(st.characters(codec="ascii", exclude_characters=" "))
    stated[part] = whole[:place] + whole[place + 1 :] if cut else whole[:place] + added + whole[place:]
    assert not accepted(Attempt(stated["id"], stated["time"], stated["signature"]), stated["body"].encode())


@example(-300)
@example(-301)
@example(300)
@example(301)
@given(st.integers(-2000, 2000))
def test_a_time_is_taken_within_the_tolerance_only(off_s: int) -> None:
    assert accepted(attempt_at(int(NOW_S) + off_s)) == (abs(off_s) <= TOLERANCE_S)


@pytest.mark.parametrize(
    "timestamp", ["", " ", "-1", "+1700000000", "1700000000.0", "01700000000", "1e9", "٣", "9" * 40]
)
def test_a_time_that_is_none_is_refused_though_signed(timestamp: str) -> None:
    assert not accepted(Attempt("msg_1", timestamp, signature_of(SECRET, "msg_1", timestamp, BODY)))


def test_while_secrets_are_exchanged_either_will_do() -> None:
    by_old, by_new = attempt_at(int(NOW_S)), attempt_at(int(NOW_S), secret=OTHER_SECRET)
    both = Attempt(by_old.webhook_id, by_old.timestamp, f"{by_old.signatures} v1a,AAAA {by_new.signatures}")
    assert accepted(by_old, BODY, OTHER_SECRET, SECRET)
    assert accepted(by_new, BODY, OTHER_SECRET, SECRET)
    assert accepted(both, BODY, SECRET)
    assert accepted(both, BODY, OTHER_SECRET)
    assert not accepted(by_old, BODY, OTHER_SECRET)


def test_no_more_signatures_are_looked_at_than_may_be() -> None:
    attempt = attempt_at(int(NOW_S))
    late = Attempt(attempt.webhook_id, attempt.timestamp, " ".join(["v1,AAAA"] * MAX_SIGNATURES + [attempt.signatures]))
    assert not accepted(late)


@pytest.mark.parametrize("signatures", ["", ",", "v1", "v1,", "v2,AAAA", "v1,%%%", "\ud800", "é" * 10])
def test_signatures_that_are_none_are_refused(signatures: str) -> None:
    assert not accepted(Attempt("msg_1", f"{NOW_S:.0f}", signatures))


def test_a_secret_is_24_to_64_bytes_in_base64() -> None:
    for secret in (bytes(24), SECRET, bytes(64)):
        assert secret_from("whsec_" + base64.b64encode(secret).decode()) == secret
    for text in (
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "",
        "whsec_",
        "whsec_AAAA",
        base64.b64encode(SECRET).decode(),
        "whsec_%" + "A" * 40,
        "whsec_" + "A" * 88,
    ):
        with pytest.raises(ValueError, match=r"a secret|base64") as told:
            secret_from(text)
        assert "AAAAAAA" not in str(told.value)
