"""A sample of each extension point: see pyproject.toml for how they are found."""
