"""Consumer groups: workers share a group's events, each settled or delivered again."""
