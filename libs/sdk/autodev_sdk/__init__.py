"""The Python client of Auto-Dev and its event hooks"""
