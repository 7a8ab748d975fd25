"""What every query says about retrieval and generation: its trace, its signals, its spans."""
