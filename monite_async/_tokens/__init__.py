"""The life of a token: issuing, caching, refreshing, dropping."""
