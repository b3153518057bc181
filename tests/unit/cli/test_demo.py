"""What the demonstration reports: the sample, under names of its own each time."""

from autodev_cli.demo.evolver import SLOW_TASK
from autodev_cli.demo.memento import of_this_run
from autodev_cli.episodes import of_task, read_attempts, read_tasks, sample_dir


def test_every_demonstration_has_agents_and_episodes_of_its_own() -> None:
    tasks = read_tasks(sample_dir() / "tasks.json")
    attempts = read_attempts(sample_dir() / "attempts.jsonl", tasks)
    _, first = of_this_run(tasks, attempts, SLOW_TASK)
    _, second = of_this_run(tasks, attempts, SLOW_TASK)
    for name in ("agent_id", "episode_id"):
        assert {getattr(each, name) for each in first}.isdisjoint(getattr(each, name) for each in second)


def test_the_slow_program_is_never_the_one_that_was_made_faster_before() -> None:
    tasks = read_tasks(sample_dir() / "tasks.json")
    attempts = read_attempts(sample_dir() / "attempts.jsonl", tasks)
    runs = [of_this_run(tasks, attempts, SLOW_TASK) for _ in range(2)]
    slow = [of_task(run, SLOW_TASK, failed=False)[0].code for _, run in runs]
    assert slow[0] != slow[1]
    assert runs[0][0][SLOW_TASK].description != runs[1][0][SLOW_TASK].description
    other = [of_task(run, "add_months", failed=False)[0].code for _, run in runs]
    assert other[0] == other[1]
