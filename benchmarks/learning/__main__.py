"""How well the learning service learns: `make bench-learning`.

Repair of real failing programs wants them by --tasks and --attempts (the shape that `autodev replay` reads); without,
those rows say NOT HERE. Seeds are fixed. A bar that is not reached says MISS; the status is 0 all the same.

    python -m benchmarks.learning [--quick] [--tasks tasks.json --attempts attempts.jsonl] [--sample N] [row ...]
"""

from pathlib import Path

from benchmarks.command import chosen, parser_of, run
from benchmarks.learning.effort import Effort
from benchmarks.learning.rows import BARS, Measurement


def main() -> None:
    """Read the arguments, measure, print."""
    parser = parser_of("benchmarks.learning", __doc__, BARS)
    parser.add_argument("--tasks", type=Path, help="tasks of the failing programs")
    parser.add_argument("--attempts", type=Path, help="failing and passing programs, one JSON object a line")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N failing programs of each task")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = chosen(parser, arguments, BARS)
    effort = Effort(arguments.quick, arguments.seed, arguments.tasks, arguments.attempts, arguments.sample)
    run(Measurement(names, effort), BARS)


if __name__ == "__main__":
    main()
