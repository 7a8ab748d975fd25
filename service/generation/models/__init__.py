"""The models that write answers: one seam, endpoints behind it, limits, bills and prices around it."""
