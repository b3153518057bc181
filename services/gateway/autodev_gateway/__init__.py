"""The gateway: the event log, episodes, and one address for the whole mesh"""
