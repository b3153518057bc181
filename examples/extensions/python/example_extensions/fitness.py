"""A fitness function that prefers what costs less, among what works."""

from autodev_sdk.extensions import FitnessFunction, RunSignals


def thrift(signals: RunSignals) -> float:
    """0 for what failed; else half for working, and half for costing nothing, less the more it costs."""
    if signals.syntax_error or not signals.execution_success:
        return 0.0
    cost = float(signals.measurements["cost_usd"])
    return 0.5 + 0.5 / (1 + cost)


THRIFT = FitnessFunction("example.thrift", "works, and costs little (measurements: cost_usd)", thrift)
