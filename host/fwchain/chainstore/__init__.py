"""The full chain: every block, the pool of logs, branches and reorganisation, in a database.

The rules of a block are those of `fwnode.chain`; here they are applied to branches and kept.
"""

from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.miner import Miner
from fwchain.chainstore.store import Added, Orphan, Store, Tip

__all__ = ["Added", "Miner", "Orphan", "Store", "StoreError", "Tip"]
