"""Reporting recorded attempts as episodes, and counting what is learnt from them."""
