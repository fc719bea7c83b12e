"""The facts and sentences that the model is taught, one small table per file."""
