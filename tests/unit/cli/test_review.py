"""What `autodev review show` says of code that fits what its proposer saw, and little else."""

import pytest

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
