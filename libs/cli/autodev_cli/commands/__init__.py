"""The commands: what they take. Each imports what it does only when it is called, so that `--help` is quick."""
