"""Question to ranked passages; no language model here."""
