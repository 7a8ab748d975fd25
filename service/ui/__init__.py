"""The web page: search and ask in a browser. Everything it knows it asks `/v1` for, like any other client."""
