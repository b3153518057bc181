"""What an agent may do today: maturity, settings, daily limits"""
