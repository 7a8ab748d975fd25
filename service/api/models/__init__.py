"""The HTTP contract as pydantic models: what is accepted, and what is answered."""
