"""What `autodev review show` says of code: all that would run, and whether it fits little but what its proposer saw."""

import pytest

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1 import review_service_pb2 as pb
from autodev_cli.commands.review import print_review


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (memento.OVERFIT_MARK_UNSPECIFIED, ""),
        (memento.OVERFIT_MARK_SUSPECTED, "overfit?"),
        (memento.OVERFIT_MARK_FOUND, "overfit:"),
    ],
)
def test_a_mark_of_overfitting_is_the_first_thing_said(
    mark: memento.OverfitMark.ValueType, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_review(pb.Review(id="r", title="t", code="x = 1", overfit=mark, evidence=["2 of 2 held-out examples pass"]))
    shown = capsys.readouterr().out
    assert ("overfit" in shown) is bool(said)
    assert said in shown.partition("2 of 2")[0]


@pytest.mark.parametrize(
    "review",
    [
        pb.Review(subject_kind=event_pb2.SUBJECT_KIND_CANDIDATE, code="x = y"),
        pb.Review(subject_kind=event_pb2.SUBJECT_KIND_MUTATION, code="x = y", diff="-x = 1\n+x = y"),
    ],
)
def test_what_is_run_before_the_code_is_shown_before_it(review: pb.Review, capsys: pytest.CaptureFixture[str]) -> None:
    print_review(review)
    assert "preamble" not in capsys.readouterr().out
    review.preamble = "y = 3"
    print_review(review)
    before, _, after = capsys.readouterr().out.partition("    y = 3\n")
    assert "preamble" in before
    assert "x = y" in after
