"""The audit log: who decided what, a service by itself included, in a chain a tenant that shows any change."""
