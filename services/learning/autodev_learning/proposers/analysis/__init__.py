"""What can be said of a program by its text: what it changes, what is its own, what stays the same in a loop.

Whatever is not understood is taken to change everything.
"""
