"""``python -m codegen [--check] [contract]``, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.build import OWNED, build
from codegen.output import altered, differences, write
from codegen.reader import load

CONTRACT = "../shared/contract/monite-openapi-2024-05-25.json"


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or with --check tell which differ; the status is 1 when one does."""
    parser = argparse.ArgumentParser(prog="python -m codegen", description=main.__doc__)
    parser.add_argument(
        "contract", nargs="?", default=CONTRACT, help="the OpenAPI document: a file, or its https address"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail on differences")
    parser.add_argument("--root", type=Path, default=Path(), help="the root of the repository")
    options = parser.parse_args(arguments)
    if options.contract.startswith(("https://", "http://")) or Path(options.contract).is_file():
        files = build(load(options.contract), options.root)
        if not options.check:
            for name in write(options.root, OWNED, files):
                print(f"wrote {name}")
            return 0
        wrong = differences(options.root, OWNED, files)
    elif options.check:
        print(f"no contract at {options.contract}: comparing with the lock only")
        wrong = altered(options.root)
    else:
        parser.error(f"no contract at {options.contract}: name the OpenAPI document as an argument")
    for name in wrong:
        print(f"differs: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
