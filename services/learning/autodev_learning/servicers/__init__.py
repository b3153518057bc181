"""autodev.learning.v1 to the rules and back, a module a service."""
