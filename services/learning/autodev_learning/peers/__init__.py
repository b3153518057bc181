"""The other services of the mesh, in the learning service's words: one module each."""
