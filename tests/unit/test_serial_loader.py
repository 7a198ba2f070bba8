"""The serial loader's parts, without a port: SLIP, modem lines, SYNC, malformed frames."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwchain.board.serial import Loader, chip, slip
from fwchain.board.serial.chips import CHIPS, flash_id
from fwchain.board.serial.lines import ModemLines
from fwchain.board.serial.loader import SYNC_FRAME, _checksum
from fwchain.board.serial.sync import SyncSpotter

MAC = bytes.fromhex("24ec4a0a0b0c")


class RamFlash:
    size = 1 << 20

    def __init__(self) -> None:
        self.data = bytearray(b"\xff" * self.size)
        self.erased = 0

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def erase(self, offset: int, length: int) -> None:
        self.erased += length
        self.data[offset : offset + length] = b"\xff" * length

    def program(self, offset: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            self.data[offset + index] &= byte


def frame(op: int, body: bytes = b"", check: int = 0) -> bytes:
    return slip.encode(struct.pack("<BBHI", 0, op, len(body), check) + body)


def block(op: int, sequence: int, data: bytes) -> bytes:
    return frame(op, struct.pack("<IIII", len(data), sequence, 0, 0) + data, _checksum(data))


def status(answer: bytes, stub: bool = False) -> bytes:
    (reply,) = slip.Decoder().feed(answer)
    return reply[-2:] if stub else reply[-4:-2]


def start_stub(loader: Loader) -> None:
    loader.feed(frame(5, struct.pack("<IIII", 4, 1, 4, 0x40080000)))
    loader.feed(block(7, 0, b"stub"))
    answer = loader.feed(frame(6, struct.pack("<II", 0, 0x40080000)))
    assert answer.endswith(slip.encode(b"OHAI"))


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.integers(1, 9))
def test_slip_survives_any_cut(frames: list[bytes], step: int) -> None:
    stream = b"".join(slip.encode(one) for one in frames)
    decoder = slip.Decoder()
    got = []
    for start in range(0, len(stream), step):
        got += decoder.feed(stream[start : start + step])
    assert got == frames


@given(st.binary(max_size=300))
def test_loader_takes_any_bytes(data: bytes) -> None:
    loader = Loader(chip("esp32"), RamFlash(), MAC)
    loader.feed(data)
    loader.feed(b"\xc0\xc0")
    assert len(slip.Decoder().feed(loader.feed(SYNC_FRAME))) == 8


@given(st.integers(0, 255), st.binary(max_size=80), st.booleans())
def test_loader_takes_any_command(op: int, body: bytes, stub: bool) -> None:
    loader = Loader(chip("esp32c3"), RamFlash(), MAC)
    if stub:
        start_stub(loader)
    loader.feed(frame(op, body, _checksum(body[16:])))


@given(st.binary(max_size=100))
def test_checksum_is_the_xor(data: bytes) -> None:
    expected = 0xEF
    for byte in data:
        expected ^= byte
    assert _checksum(data) == expected


def test_frame_without_end_is_forgotten() -> None:
    decoder = slip.Decoder(limit=100)
    assert decoder.feed(b"\xc0" + bytes(1000)) == []
    assert decoder.feed(b"\xc0\xc0abc\xc0") == [b"abc"]


def test_broken_escape_is_dropped() -> None:
    assert slip.Decoder().feed(b"\xc0a\xdbb\xc0" + slip.encode(b"ok")) == [b"ok"]


def test_rom_sync_says_rom_and_stub_sync_says_stub() -> None:
    loader = Loader(chip("esp32"), RamFlash(), MAC)
    value = struct.unpack_from("<I", slip.Decoder().feed(loader.feed(SYNC_FRAME))[0], 4)[0]
    assert value != 0
    start_stub(loader)
    value = struct.unpack_from("<I", slip.Decoder().feed(loader.feed(SYNC_FRAME))[0], 4)[0]
    assert value == 0


def test_security_info_is_an_error_on_esp32_alone() -> None:
    for name, model in CHIPS.items():
        answer = slip.Decoder().feed(Loader(chip(name), RamFlash(), MAC).feed(frame(0x14)))[0]
        if name == "esp32":
            assert answer[8:10] == b"\x01\x05"
        else:
            assert struct.unpack_from("<I", answer, 20)[0] == model.image_chip_id


def test_stub_commands_need_the_stub() -> None:
    loader = Loader(chip("esp32"), RamFlash(), MAC)
    assert status(loader.feed(frame(0xD0))) == b"\x01\x05"


def test_wrong_checksum_is_refused_and_nothing_written() -> None:
    flash = RamFlash()
    loader = Loader(chip("esp32"), flash, MAC)
    loader.feed(frame(2, struct.pack("<IIII", 1024, 1, 1024, 0)))
    body = struct.pack("<IIII", 1024, 0, 0, 0) + bytes(1024)
    assert status(loader.feed(frame(3, body, 0x11))) == b"\x01\x07"
    assert flash.data[:1024] == b"\xff" * 1024


def test_data_without_begin_is_refused() -> None:
    assert status(Loader(chip("esp32"), RamFlash(), MAC).feed(block(3, 0, b"abcd")))[0] == 1


def test_block_out_of_order_is_refused_and_a_repeated_one_taken_once() -> None:
    flash = RamFlash()
    loader = Loader(chip("esp32"), flash, MAC)
    start_stub(loader)
    loader.feed(frame(2, struct.pack("<IIIII", 8192, 2, 4096, 0, 0)))
    first = block(3, 0, b"a" * 4096)
    assert status(loader.feed(first), True) == b"\0\0"
    assert status(loader.feed(first), True) == b"\0\0"
    assert status(loader.feed(block(3, 5, b"b" * 4096)), True)[0] == 1
    assert flash.data[4096:8192] == b"\xff" * 4096


def test_stub_erases_only_what_it_writes() -> None:
    flash = RamFlash()
    flash.data[:] = bytes(flash.size)
    loader = Loader(chip("esp32"), flash, MAC)
    start_stub(loader)
    loader.feed(frame(2, struct.pack("<IIIII", 5000, 2, 4096, 0x1000, 0)))
    for index in range(2):
        loader.feed(block(3, index, b"\xaa" * 4096))
    assert flash.erased == 8192
    assert flash.read(0x1000, 5000) == b"\xaa" * 5000
    assert flash.read(0x1000 + 5000, 8192 - 5000) == b"\xff" * (8192 - 5000)


@pytest.mark.parametrize(("data", "code"), [(b"not zlib", 0xC7), (zlib.compress(bytes(5000)), 0xC9)])
def test_bad_compressed_data(data: bytes, code: int) -> None:
    loader = Loader(chip("esp32"), RamFlash(), MAC)
    start_stub(loader)
    loader.feed(frame(0x10, struct.pack("<IIIII", 4096, 1, 0x4000, 0, 0)))
    assert status(loader.feed(block(0x11, 0, data)), True) == bytes((1, code))


def test_beyond_the_flash_is_refused() -> None:
    loader = Loader(chip("esp32"), RamFlash(), MAC)
    start_stub(loader)
    last = RamFlash.size - 4096
    for op, body in (
        (0x02, struct.pack("<IIIII", 8192, 2, 4096, last, 0)),
        (0x13, struct.pack("<IIII", last, 8192, 0, 0)),
        (0xD1, struct.pack("<II", last, 8192)),
        (0xD1, struct.pack("<II", 100, 4096)),
        (0xD2, struct.pack("<IIII", last, 8192, 4096, 64)),
    ):
        assert status(loader.feed(frame(op, body)), True)[0] == 1


def test_flash_size_in_jedec_id() -> None:
    assert flash_id(4 << 20)[2] == 0x16
    assert flash_id(16 << 20)[2] == 0x18


def test_unknown_chip_is_named() -> None:
    with pytest.raises(ValueError, match="esp8266"):
        chip("esp8266")


def lines() -> tuple[ModemLines, list[str]]:
    seen: list[str] = []
    return ModemLines(
        lambda download: seen.append("download" if download else "run"),
        lambda: seen.append("held"),
    ), seen


def test_classic_reset_walks_into_download() -> None:
    modem, seen = lines()
    modem.set(dtr=True)  # as pyserial opens a port
    modem.set(rts=True)
    assert seen == []
    modem.set(dtr=False)
    modem.set(rts=True)
    modem.set(dtr=True)
    modem.set(rts=False)
    modem.set(dtr=False)
    assert seen == ["held", "download"]


def test_hard_reset_runs() -> None:
    modem, seen = lines()
    modem.set(rts=True)
    modem.set(rts=False)
    assert seen == ["held", "run"]


def test_port_closed_while_held_runs() -> None:
    modem, seen = lines()
    modem.set(rts=True)
    modem.release()
    assert seen == ["held", "run"]
    modem.release()
    assert seen == ["held", "run"]


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 50))
def test_sync_is_found_wherever_it_is_cut(before: bytes, after: bytes, step: int) -> None:
    spotter = SyncSpotter()
    stream = before + SYNC_FRAME
    passed, rest = b"", None
    for start in range(0, len(stream), step):
        part = stream[start : start + step]
        if start + step >= len(stream):
            part += after
        out, rest = spotter.feed(part)
        passed += out
    assert rest == after
    assert passed == before


def test_text_passes_at_once_and_a_lone_end_byte_after_a_while() -> None:
    spotter = SyncSpotter()
    assert spotter.feed(b"print(1)\r") == (b"print(1)\r", None)
    assert spotter.feed(b"x\xc0\x00") == (b"x", None)
    assert spotter.give_up() == b"\xc0\x00"
    assert spotter.give_up() == b""
