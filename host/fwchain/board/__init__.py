"""The virtual board: an ESP32's flash, boot loader and MicroPython in software, and what
provisions any board.
"""
