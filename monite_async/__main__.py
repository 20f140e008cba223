"""``python -m monite_async``: the command ``monite-async``."""

from __future__ import annotations

from monite_async._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
