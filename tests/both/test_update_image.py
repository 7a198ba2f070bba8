"""ESP application images: what is measured, and a named test for each way in which one can be wrong."""

import struct

import fake_esp32
from fwnode.update import ImageError
from fwnode.update.image import CHIPS, check_first, chip_of, measure
from fwnode.update.imagecheck import check_steps
from support import raises, run

BODY = bytes(range(200)) * 3


def reader(data):
    """readinto over bytes; reading past the end is an error of the parser."""

    def readinto(offset, buf):
        assert offset >= 0 and offset + len(buf) <= len(data), "read past the end"
        buf[:] = data[offset : offset + len(buf)]

    return readinto


def wrong(data, limit=None, chip=None):
    """The text of measure's ImageError."""
    return str(raises(ImageError, measure, reader(data), limit or len(data), chip))


def unchecked(data, scratch=None):
    """The text of check_steps' ImageError."""
    image = measure(reader(data), len(data))
    return str(raises(ImageError, check_steps, reader(data), image, scratch))


def changed(at, value, **options):
    image = fake_esp32.app_image(BODY, **options)
    image[at : at + len(value)] = value
    return image


def test_length_is_exact():
    for size in range(1024, 1044):
        for segments in (1, 2, 5):
            for digest in (True, False):
                data = fake_esp32.app_image(bytes(size), segments=segments, digest=digest)
                image = measure(reader(data + b"\xff" * 100), len(data) + 100)
                assert image.length == len(data), (size, segments, digest)
                assert image.digest_appended == digest and len(image.segments) == segments
    run(check_steps(reader(data), image))


def test_description():
    data = fake_esp32.app_image(BODY, version="1.10.3", project="lamp", chip=9)
    image = measure(reader(data), len(data), 9)
    assert (image.version, image.project, image.chip) == ("1.10.3", "lamp", 9)
    data[48:52] = b"\x01\xff v"
    assert check_first(data).version.startswith("?? v")


def test_check_with_any_scratch():
    data = fake_esp32.app_image(BODY, segments=3)
    image = measure(reader(data), len(data))
    for size in (33, 64, 100, 512, 4096):
        run(check_steps(reader(data), image, bytearray(size)))


def test_a_partition_table_s_magic_inside_an_image_is_no_table():
    data = fake_esp32.app_image(bytes(0x8100))
    for at in (0x7000, 0x8000):
        data[at : at + 2] = b"\xaa\x50"
    assert measure(reader(data), len(data)).length == len(data)


def test_platforms():
    assert chip_of("esp32c3") == 5 and chip_of("virtual") == CHIPS["esp32"] == 0
    assert "esp8266" in str(raises(ImageError, chip_of, "esp8266"))


def test_empty():
    assert "image: 0 bytes" in wrong(b"")
    assert "288" in wrong(bytes(287))
    assert "12 bytes" in str(raises(ImageError, check_first, bytes(12)))


def test_wrong_magic():
    assert "magic: 0x7f, expected 0xe9" in wrong(changed(0, b"\x7f"))


def test_erased_flash():
    assert "starts with 0xff" in wrong(b"\xff" * 4096)


def test_wrong_chip():
    data = fake_esp32.app_image(BODY, chip=5)
    assert "chip id: 5, this board has 0" in wrong(data, None, 0)
    assert "chip id" in str(raises(ImageError, check_first, data, 9))
    assert measure(reader(data), len(data), 5).chip == 5


def test_segment_count():
    assert "segments: 0, limit 1 to 16" in wrong(changed(1, b"\x00"))
    assert "segments: 17, limit 1 to 16" in wrong(changed(1, b"\x11"))


def test_hash_flag():
    assert "hash_appended: 2" in wrong(changed(23, b"\x02"))


def test_segment_past_the_limit():
    assert "segment 0 ends at" in wrong(changed(28, struct.pack("<I", 0xFFFFFFF0)))
    data = fake_esp32.app_image(BODY)
    assert "segment 0 ends at" in wrong(data, 400)


def test_segment_header_past_the_limit():
    data = changed(1, b"\x02")
    end = 32 + 256 + len(BODY)
    assert "segment 1: header ends at {}".format(end + 8) in wrong(data[: end + 4])


def test_checksum_or_digest_cut_off():
    data = fake_esp32.app_image(BODY)
    assert "length ends at {}, limit {}".format(len(data), len(data) - 1) in wrong(data[:-1])
    data = fake_esp32.app_image(BODY, digest=False)
    assert "length ends at" in wrong(data[:-1])


def test_description_too_short():
    assert "segment 0: 255 bytes" in wrong(changed(28, struct.pack("<I", 255)))


def test_wrong_checksum():
    data = fake_esp32.app_image(BODY, digest=False)
    data[-1] ^= 0x10
    assert "checksum: 0x" in unchecked(data)
    data = fake_esp32.app_image(BODY, digest=False)
    data[500] ^= 1
    assert "checksum: 0x" in unchecked(data)


def test_wrong_digest():
    assert "digest" in unchecked(changed(-1, b"\x00\x00\x00")[:-2])
    data = fake_esp32.app_image(BODY)
    data[4] ^= 1  # the entry address: no part of the checksum
    assert "digest" in unchecked(data)


def test_boot_loader_alone():
    """ESP-IDF's boot loader is an image too, for the right chip, but has no application description."""
    data = changed(32, b"\x50\x00\x00\x00")
    assert "no application description at 0x20" in wrong(data)
    assert "boot loader" in str(raises(ImageError, check_first, data))


def full_flash(first, table_at):
    data = bytearray(table_at + 64)
    data[:64] = b"\xff" * 64
    data[first : first + 48] = changed(32, b"\x50\x00\x00\x00")[:48]
    data[table_at : table_at + 2] = b"\xaa\x50"
    return data


def test_full_flash_image_for_address_0x1000():
    """MicroPython's .bin for the ESP32: boot loader first, table at 0x8000 of the flash."""
    data = full_flash(0, 0x7000)
    assert "partition table at 0x7000" in wrong(data)
    assert "boot loader or full flash image" in str(raises(ImageError, check_first, memoryview(data)[:4096]))


def test_full_flash_image_for_address_0():
    """MicroPython's .bin for S3 and C3."""
    data = full_flash(0, 0x8000)
    assert "partition table at 0x8000" in wrong(data)
    assert "boot loader or full flash image" in str(raises(ImageError, check_first, memoryview(data)[:4096]))


def test_full_flash_image_merged_at_0():
    """`esptool merge-bin` for the ESP32: erased flash before the boot loader."""
    data = full_flash(0x1000, 0x8000)
    assert "partition table at 0x8000" in wrong(data)
    assert "starts with 0xff" in str(raises(ImageError, check_first, memoryview(data)[:4096]))
