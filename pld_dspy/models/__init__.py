"""Language models by name, in this process or elsewhere."""
