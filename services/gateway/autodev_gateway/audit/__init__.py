"""The audit log: who decided what, in a chain a tenant that shows any change."""
