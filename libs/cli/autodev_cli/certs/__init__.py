"""A certificate authority in a directory, for trying mutual TLS and for meshes that have no better one."""
