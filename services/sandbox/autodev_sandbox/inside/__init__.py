"""What runs inside every sandbox: the supervisor, and the code's own process.

Standard library only, and little of it: every execution pays for what is imported here. `posix`, `_signal` and `_json`
are what `os`, `signal` and `json` are made of, and take no time to import; typing is for the type checker alone.
"""
