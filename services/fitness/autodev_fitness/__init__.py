"""Scores of workflow variants, at once and by delayed signals"""
