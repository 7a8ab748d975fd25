"""Bytes to normalised text with spans; every document is read in a child process with limits."""
