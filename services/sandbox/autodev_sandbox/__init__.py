"""Runs Python that nobody has read"""
