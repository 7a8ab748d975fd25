"""What the questions and the documents tell about the knowledge itself: what is missing, contradicts itself, is old."""
