"""By which ids signals are kept: no caller can take the id that a signed webhook has.

The gateway passes a webhook on by the id `<source>:<webhook-id>`, which is kept as it is. A caller's own id that reads
like one is kept apart from it, and shown as the caller stated it.
"""

APART = "~"
"""No identifier holds it, so what is kept is as long as what was stated, and can be told back."""


def callers_id(stated: str) -> str:
    """The id to keep a caller's own signal by."""
    return stated.replace(":", APART, 1)


def stated_id(kept: str) -> str:
    """The id as it was stated."""
    return kept.replace(APART, ":")
