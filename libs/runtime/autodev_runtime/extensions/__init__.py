"""Extensions of the user's own that are gRPC services (`autodev.extension.v1`): where they are, and asking them."""
