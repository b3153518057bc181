"""`autodev review`: what waits for a person."""

from typing import Annotated

import typer

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1 import memento_service_pb2 as memento
from autodev.learning.v1 import review_service_pb2 as pb
from autodev_cli.options import Connection, connected, new_app
from autodev_cli.output import as_dict, enum_word, moment, one_line, print_code, print_json, print_table, say
from autodev_cli.paging import whole
from autodev_cli.target import ask

app = new_app("See, approve and reject what waits for a person.")

ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id, as `list` shows it.")]


@app.command("list")
@connected
def list_reviews(
    connection: Connection,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were decided.")] = False,
) -> None:
    """List what waits, newest first."""
    state = pb.REVIEW_STATE_UNSPECIFIED if everything else pb.REVIEW_STATE_WAITING
    answer = ask(
        connection,
        lambda mesh: whole(mesh.reviews.ListReviews, pb.ListReviewsRequest(state=state), lambda page: page.reviews),
    )
    if connection.json:
        print_json(as_dict(answer))
        return
    print_table(
        ("id", "what", "title", "agent", "asked", "decision"),
        [
            (each.id, subject(each), one_line(each.title), each.agent_id, moment(each.requested_at), decision(each))
            for each in answer.reviews
        ],
        empty="Nothing waits.",
    )


@app.command()
@connected
def show(connection: Connection, review_id: ReviewId) -> None:
    """Show the code, what is run before it, the diff and the evidence."""
    answer = ask(connection, lambda mesh: mesh.reviews.GetReview(pb.GetReviewRequest(review_id=review_id)))
    if connection.json:
        print_json(as_dict(answer.review))
    else:
        print_review(answer.review)


@app.command()
@connected
def approve(
    connection: Connection,
    review_id: ReviewId,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")] = "",
    on_trial: Annotated[
        bool,
        typer.Option("--on-trial", help="A rewrite: let a share of the executions run it until it has proven itself."),
    ] = False,
) -> None:
    """Let it be used; what was approved is promoted at once, or tried beside the version in use."""
    request = pb.ApproveReviewRequest(review_id=review_id, reason=reason, on_trial=on_trial)
    _print_decided(connection, ask(connection, lambda mesh: mesh.reviews.ApproveReview(request)).review)


@app.command()
@connected
def reject(
    connection: Connection,
    review_id: ReviewId,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")],
) -> None:
    """Do not let it be used."""
    request = pb.RejectReviewRequest(review_id=review_id, reason=reason)
    _print_decided(connection, ask(connection, lambda mesh: mesh.reviews.RejectReview(request)).review)


def print_review(review: pb.Review) -> None:
    """A review as a person reads it: what it is, what speaks for it, the code or the diff."""
    say(one_line(review.title, 120), head=subject(review))
    say(f"  review {review.id}  agent {review.agent_id}  {decision(review)}", style="dim")
    if warning := overfit_warning(review.overfit):
        say(f"  ! {warning}", style="bold yellow")
    for line in review.evidence:
        say(f"  • {line}")
    if review.preamble:
        say("  run first, the preamble:", style="dim")
        print_code(review.preamble)
        say("  and then:", style="dim")
    is_mutation = review.subject_kind == event_pb2.SUBJECT_KIND_MUTATION
    if is_mutation and review.diff:
        print_code(review.diff, "diff")
        say(f"  fitness {review.fitness_delta:+.3f} against its parent")
    else:
        print_code(review.code)


def subject(review: pb.Review) -> str:
    """What kind of thing a review is about, as a word."""
    return enum_word(event_pb2.SubjectKind.Name(review.subject_kind), "SUBJECT_KIND_")


def overfit_warning(mark: memento.OverfitMark.ValueType) -> str:
    """What a mark of overfitting means, in words; empty where there is none."""
    return {
        memento.OVERFIT_MARK_SUSPECTED: "overfit? It does otherwise than its reference on inputs that nobody gave.",
        memento.OVERFIT_MARK_FOUND: "overfit: it passes what its proposer saw, and fails what it did not.",
    }.get(mark, "")


def decision(review: pb.Review) -> str:
    """Where a review stands, in words."""
    if review.decision == event_pb2.DECISION_UNSPECIFIED:
        return "waits"
    word = enum_word(event_pb2.Decision.Name(review.decision), "DECISION_") + (" on trial" if review.on_trial else "")
    return f"{word} by {review.reviewer}" + (f": {one_line(review.reason)}" if review.reason else "")


def _print_decided(connection: Connection, review: pb.Review) -> None:
    if connection.json:
        print_json(as_dict(review))
    else:
        say(f"{decision(review)}  {one_line(review.title)}")
