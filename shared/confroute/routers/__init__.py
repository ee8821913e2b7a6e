"""Who should answer? Routers turn a request into a decision."""
