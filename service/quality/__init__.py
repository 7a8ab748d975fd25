"""Golden sets, metrics and gates."""
