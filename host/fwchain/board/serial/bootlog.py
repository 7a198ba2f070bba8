"""What a chip's ROM says on its serial port when it starts, word for word as the real ones do.

Source: ESP-IDF's "Fatal Errors" and "Boot Mode Selection" pages, and esptool's own pattern for
download mode (`boot:(0x..)(.*waiting for download)`).
"""

from __future__ import annotations

from fwchain.board.serial.chips import Chip

POWER_ON = "power on"
RESET_PIN = POWER_ON  # EN is the power-on reset: the chip cannot tell them apart
SOFTWARE = "software"
WATCHDOG = "watchdog"
DEEP_SLEEP = "deep sleep"

_ESP32_CAUSE = {
    POWER_ON: "0x1 (POWERON_RESET)",
    SOFTWARE: "0xc (SW_CPU_RESET)",
    WATCHDOG: "0x8 (TG1WDT_SYS_RESET)",
    DEEP_SLEEP: "0x5 (DEEPSLEEP_RESET)",
}
_LATER_CAUSE = {
    POWER_ON: "0x1 (POWERON)",
    SOFTWARE: "0x3 (RTC_SW_SYS_RST)",
    WATCHDOG: "0x8 (TG1WDT_SYS_RST)",
    DEEP_SLEEP: "0x5 (DSLEEP)",
}
_MODES = {
    "esp32": ("0x13 (SPI_FAST_FLASH_BOOT)", "0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))"),
    "esp32s3": ("0x8 (SPI_FAST_FLASH_BOOT)", "0x0 (DOWNLOAD(USB/UART0))"),
    "esp32c3": ("0xc (SPI_FAST_FLASH_BOOT)", "0x4 (DOWNLOAD(USB/UART0/1))"),
}


def rom_log(chip: Chip, cause: str = POWER_ON, download: bool = False) -> bytes:
    """The ROM's lines at a reset for `cause`, into download mode or into flash boot."""
    causes = _ESP32_CAUSE if chip.name == "esp32" else _LATER_CAUSE
    head = chip.rom_base + "\r\n" + (chip.build if chip.build else "") + "\r\n"
    text = f"{head}rst:{causes[cause]},boot:{_MODES[chip.name][download]}\r\n"
    if download:
        text += "waiting for download\r\n"
    elif chip.name == "esp32":
        text += "configsip: 0, SPIWP:0xee\r\n"
        text += "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\n"
        text += "mode:DIO, clock div:2\r\n"
    else:
        text += "SPIWP:0xee\r\nmode:DIO, clock div:1\r\n"
    return text.encode()
