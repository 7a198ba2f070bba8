"""The virtual board's serial port: ROM loader, flasher stub, console, pty, RFC 2217.

How a supervisor uses it:

    port = SerialPort(chip("esp32"), flash, mac, self.reset, self.events, link=folder/"tty")
    port.start()                        # port.urls: pty path, rfc2217://…, socket://…
    ours, childs = socket.socketpair()  # no pty: the Unix port's raw mode would flush its input
    process = Popen(…, stdin=childs, stdout=childs, stderr=childs)  # SIGINT ignored at the start
    port.log(rom_log(chip, cause) + b"I (30) boot: …")
    port.attach(ours.detach(), process.pid, raw=False)

`on_reset(download)` is called when a client resets the chip: end the process; boot again unless
`download`. When the process ends by Ctrl-D: `raw = port.detach()`, `port.log(b"MPY: soft
reboot\\r\\n")`, start it again (without main.py if `raw`) and `port.attach(…, raw=raw)`.
"""

from fwchain.board.serial.bootlog import rom_log
from fwchain.board.serial.chips import CHIPS, Chip, chip
from fwchain.board.serial.loader import Loader
from fwchain.board.serial.port import SerialPort

__all__ = ["CHIPS", "Chip", "Loader", "SerialPort", "chip", "rom_log"]
