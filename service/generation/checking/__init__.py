"""Whether a sentence is supported by what it cites: facts, words and a fitted classifier; no model call."""
