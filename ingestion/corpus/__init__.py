"""What is stored and the vector space it lives in; the only door is `corpus.open_corpus`."""
