"""Everything that is stored, and how it gets stored."""
