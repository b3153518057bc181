"""The event log on NATS JetStream. Nothing here is imported before the engine is chosen, but for its options."""
