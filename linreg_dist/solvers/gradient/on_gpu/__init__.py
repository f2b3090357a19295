"""Steps of mini-batch training on a device with its own memory."""
