"""The calls of the API: one module per resource, imported when it is first used."""
