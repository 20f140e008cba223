"""What requests may hold: one module of ``TypedDict`` inputs per resource, for type checkers only."""
