"""The services that learning asks, each by the one module that knows its contract."""
