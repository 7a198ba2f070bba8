"""The memory beside the flash: counters, reset request, watchdog, power cut. Mapped by host and
board alike.

It stands for what a real board has outside its flash (RTC domain, watchdog, the plug) and for what
no real board has (counters of wear). All fields are little-endian.

    offset size field
    0      4    magic "FWVB"
    4      4    flash size in bytes
    8      4    OPS: flash operations since the board was made
    16     4    CUT_AT: number of the operation at which power is cut; 0: never
    24     4    CUT_PHASE: see fwchain.board.runtime.vb.flash
    28     4    REQUEST: why the process ended (REQUEST_*)
    32     4    SLEEP_MS: length of a deep sleep; 0: until reset
    36     4    WDT_MS: period of the watchdog; 0: not armed
    40     4    WDT_FEEDS: counts feeds
    44     4    FREQ: CPU clock in Hz
    48     4    RESET_CAUSE: as machine.reset_cause() tells it
    52     4    BOOTS: boots since the board was made
    56     4    RUNNING: flash offset of the partition that was booted
    60     4    VIOLATIONS: programs that asked for a 1 where flash held a 0
    64     6    MAC
    72     4    CONTROL: what another process asks of the supervisor (CONTROL_*)
    76     4    HEAP_SHIM: bytes of heap that the board's own modules took
    80     4    WIFI: bits of the radio (WIFI_*)
    84     4    IP, network order
    88     4    STARTED: 1 once a Ctrl-C may reach the program (the board's own start is not interrupted)
    1024   2048 RTC user memory: length u32, then bytes
    4096   4*n  erases of each 4 KiB sector
    then   4*n  programs of each sector
"""

import struct

MAGIC = 0x42565746
FLASH_SIZE = 4
OPS = 8
CUT_AT = 16
CUT_PHASE = 24
REQUEST = 28
SLEEP_MS = 32
WDT_MS = 36
WDT_FEEDS = 40
FREQ = 44
RESET_CAUSE = 48
BOOTS = 52
RUNNING = 56
VIOLATIONS = 60
MAC = 64
CONTROL = 72
HEAP_SHIM = 76
WIFI = 80
IP = 84
STARTED = 88
RTC_MEMORY = 1024
WEAR = 4096

REQUEST_NONE = 0
REQUEST_RESET = 1
REQUEST_SOFT_RESET = 2
REQUEST_SLEEP = 3
REQUEST_CUT = 4
REQUEST_PANIC = 5

CONTROL_NONE = 0
CONTROL_RESET = 1
CONTROL_POWER_CYCLE = 2
CONTROL_STOP = 3
CONTROL_DOWNLOAD = 4

WIFI_DOWN = 1  # the access point is out of reach: tests and the demo set it

# machine.reset_cause() on an ESP32
PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


def size(flash_size):
    """Length in bytes of the state of a board whose flash has `flash_size` bytes."""
    return WEAR + 8 * (flash_size // 4096)


def get(state, field):
    """Read an unsigned 32-bit field."""
    return struct.unpack_from("<I", state, field)[0]


def put(state, field, value):
    """Write an unsigned 32-bit field."""
    struct.pack_into("<I", state, field, value)


def get64(state, field):
    """Read an unsigned 64-bit field."""
    return struct.unpack_from("<Q", state, field)[0]


def put64(state, field, value):
    """Write an unsigned 64-bit field."""
    struct.pack_into("<Q", state, field, value)
