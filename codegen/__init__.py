"""The generator: the contract of the API in, ``api/``, ``models/``, ``types/`` and the emulator's tables out.

Run it from the root of the repository: ``python -m codegen`` writes, ``python -m codegen --check`` compares.
Nothing imports this package, and it is not in the wheel.
"""
