"""Workflows as data: what a valid one is, and other ones made of it."""
