"""Proof on what no proposer saw: inputs that nobody gave, marks of overfitting, and suites that skills must pass."""
