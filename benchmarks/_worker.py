"""One process per measured case, so that no case pays for what another left behind; prints one JSON line per result."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from benchmarks import _hits
from benchmarks._measure import allow_many_sockets
from benchmarks._scenarios import SCENARIOS, Figures, stampede
from benchmarks._systems import find
from benchmarks._token_server import Endpoint


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", help="scenarios, joined by '+'")
    parser.add_argument("ports", help="of the token server, joined by a comma")
    parser.add_argument("number", type=int, help="callers or tokens")
    parser.add_argument("rounds", type=int)
    parser.add_argument("systems", nargs="+")
    options = parser.parse_args()
    allow_many_sockets()
    logging.getLogger().addHandler(logging.NullHandler())  # levels stay as they are; only nobody reads it
    warnings.simplefilter("ignore")  # of the peers, about each other
    port, _, orders = options.ports.partition(",")
    endpoint = Endpoint(int(port), int(orders))
    for name in options.what.split("+"):
        for figures in _run(name, endpoint, options):
            print(json.dumps({name: figures}), flush=True)


def _run(name: str, endpoint: Endpoint, options: argparse.Namespace) -> Iterator[Figures]:
    specs = [find(system) for system in options.systems]
    number, rounds = int(options.number), int(options.rounds)
    if name == "hit_cost":
        yield _hits.hit_cost(specs, endpoint, rounds)
    elif name == "hit_proof":
        yield _hits.hit_proof(endpoint)
    elif name == "cached_tokens":
        yield _hits.cached_tokens(number, rounds)
    elif name == "stampede":
        for _ in range(rounds):
            yield stampede(specs[0], endpoint, number)
    else:
        yield SCENARIOS[name](specs[0], endpoint)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # a system that hangs must not hang its funeral
