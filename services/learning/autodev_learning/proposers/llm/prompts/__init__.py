"""What models are told, as files: <purpose>_<version>.md. A changed prompt is a new file with the next version."""
