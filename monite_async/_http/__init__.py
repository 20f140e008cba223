"""One call of the API: encode, authorize, send, decide, decode."""
