"""Answers without a model, and whether there is one: stretches of the sources that answer, whole and cited."""
