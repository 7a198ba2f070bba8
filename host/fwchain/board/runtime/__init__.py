"""What runs inside the virtual board's MicroPython, and (in `vb`) what the host shares with it."""
