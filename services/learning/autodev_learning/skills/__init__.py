"""The skills of a tenant: their versions, their runs, what people decide of them."""
