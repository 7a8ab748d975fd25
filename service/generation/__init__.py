"""Passages to cited answers, with or without a language model."""
