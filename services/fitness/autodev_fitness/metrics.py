"""What the fitness service counts."""

from prometheus_client import Counter

RECALCULATED = Counter("autodev_fitness_recalculated_total", "Scores computed again since weights changed")
