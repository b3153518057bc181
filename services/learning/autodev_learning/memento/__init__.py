"""Memento: what keeps failing becomes a skill. Reflection finds the pattern, a proposer writes, validation proves."""
