"""What was released is what answers: live switching of prompt and model, and the way back when the signals fall."""
