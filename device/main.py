"""What a board runs after boot.py: the node, with the application that lies beside it."""

import fwnode

try:
    import app
except ImportError:
    app = None

fwnode.run(app)
