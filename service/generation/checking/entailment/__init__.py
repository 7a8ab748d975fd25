"""Whether passages say a sentence: a fitted classifier over words, wording and, where it can be had, meaning."""
