"""The contract as the emulator reads it: routes and request models, both generated."""
