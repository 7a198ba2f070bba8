"""Formats and rules of an ESP32's flash that the host and the virtual board's MicroPython share.

Every module here runs on CPython and on MicroPython, so that the host's reader and the board's
writer are one.
"""
