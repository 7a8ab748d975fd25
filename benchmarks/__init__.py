"""Commands that reproduce every measured figure of the project."""
