"""What the learning loops count."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)

PATTERNS = Counter("autodev_learning_patterns_total", "Failure patterns found")
CANDIDATES = Counter("autodev_learning_candidates_total", "Candidates that reached a status", ["status"])
PROPOSAL_SECONDS = Histogram(
    "autodev_learning_proposal_seconds", "Time to write a candidate, or to give up", ["outcome"], buckets=_SECONDS
)
VALIDATION_SECONDS = Histogram(
    "autodev_learning_validation_seconds", "Time to run a candidate on all its examples", buckets=_SECONDS
)
OVERFIT = Counter("autodev_learning_overfit_total", "Candidates and mutations marked as overfit", ["subject", "mark"])
REGRESSIONS = Counter(
    "autodev_learning_regressions_total", "Approved mutations refused because they fail their skill's suite by now"
)
TRIALS = Counter("autodev_learning_trials_total", "Trials of versions that ended, by how", ["result"])
MUTATIONS = Counter("autodev_learning_mutations_total", "Mutations that reached a stage", ["stage"])
MUTATION_RUNS = Counter("autodev_learning_mutation_runs_total", "Mutations run in turns with their parent", ["status"])
EXPERIMENT_STEPS = Counter("autodev_learning_experiment_steps_total", "Steps of research experiments", ["result"])
LLM_CALLS = Counter(
    "autodev_learning_llm_calls_total", "Calls of a language model, by how they ended", ["provider", "outcome"]
)
LLM_CALL_SECONDS = Histogram(
    "autodev_learning_llm_call_seconds", "Time of one call of a language model", ["provider"], buckets=_SECONDS
)
LLM_TOKENS = Counter(
    "autodev_learning_llm_tokens_total", "Tokens that language models counted", ["provider", "direction"]
)
LLM_COST_USD = Counter("autodev_learning_llm_cost_usd_total", "US dollars that language models cost", ["provider"])
LLM_REFUSALS = Counter("autodev_learning_llm_refusals_total", "Questions not asked: the day's budget was spent")
EXPERIMENT_PROGRAMS = Counter(
    "autodev_learning_experiment_programs_total", "Programs of research experiments: run, or known before", ["result"]
)
