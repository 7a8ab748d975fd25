"""Old `LIKE` queries on the real table beside our search: what each finds, what is new, how long each takes."""
