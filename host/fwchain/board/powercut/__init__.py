"""Power cuts at every flash operation of a whole update: `make powercut`.

One update (C1-2: offer, download, install, trial, confirmation) is run once, with every flash operation noted. From
the notes follow the flash contents of a cut at each operation: in its middle (half of its bytes, half of its bits)
and after it, which is before the next. From each of these a board is switched on and must come to the new version by
itself, having booted nothing but the old and the new one, with its keys, and its rollback floor not lowered. Some of
these runs are cut a second time. The model is MCUboot's simulator.
"""
