"""Things to run: each example works against the emulator, and with credentials in the environment against Monite."""
