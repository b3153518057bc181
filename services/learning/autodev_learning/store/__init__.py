"""The queries of the learning service, each by the concern that asks it."""
