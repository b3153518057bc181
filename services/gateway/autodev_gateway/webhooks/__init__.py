"""Webhooks: what the world says of a variant later, over HTTP. Kept, then acknowledged, then passed on to fitness."""
