"""Programs that run in the sandbox. They stand alone: the sandbox has the standard library and nothing of ours."""
