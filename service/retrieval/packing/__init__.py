"""From found passages to a context pack: what is worth a place, what belongs together, what fits."""
