"""Answers to golden cases, measured, and probes of what verifies them. Comparing runs is left to `quality.verdicts`."""
