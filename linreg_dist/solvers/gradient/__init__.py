"""The gradient solvers: steps on mini-batches by SGD, Adam, AdamW and RMSprop."""
