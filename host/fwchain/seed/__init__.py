"""The verification node's own copy of every release, for others to fetch: a libtorrent seed and a web seed."""

from fwchain.seed.seed import PortTaken, Seed, SeedError
from fwchain.seed.web import web_seed_routes

__all__ = ["PortTaken", "Seed", "SeedError", "web_seed_routes"]
