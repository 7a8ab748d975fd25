"""The HTTP edge: contract models, routes, problem+json."""
