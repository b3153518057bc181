"""Skill packages: a skill as files that another workspace, or another tool, can take (docs/skill-packages.md)."""
