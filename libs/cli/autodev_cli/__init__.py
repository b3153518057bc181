"""The command line of Auto-Dev"""
