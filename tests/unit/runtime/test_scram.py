"""A password as PostgreSQL keeps it."""

import base64

from autodev_runtime.scram import scram_verifier

# RFC 7677's example, with the keys that its ClientProof and ServerSignature come from.
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
STORED = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
SERVER = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="


def test_the_rfcs_example() -> None:
    assert scram_verifier("pencil", SALT) == f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${STORED}:{SERVER}"


def test_no_two_verifiers_are_the_same() -> None:
    assert scram_verifier("pencil") != scram_verifier("pencil")
