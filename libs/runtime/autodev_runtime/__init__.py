"""What every Auto-Dev service is made of: server, errors, identity, database, events, telemetry"""
