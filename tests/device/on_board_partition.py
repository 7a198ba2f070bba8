"""esp32.Partition as documented: what it finds, reads, writes, refuses. Writes to the slot that does not run."""

from esp32 import Partition
from on_board import raises

SECTOR = 4096


def other():
    """The slot that does not run."""
    return Partition(Partition.RUNNING).get_next_update()


def test_running_and_boot_are_ota_slots():
    kind, subtype, address, size, label, encrypted = Partition(Partition.RUNNING).info()
    assert kind == Partition.TYPE_APP and 0x10 <= subtype < 0x20
    assert address % 0x10000 == 0 and size >= 0x100000
    assert label == "ota_{}".format(subtype - 0x10) and encrypted is False
    assert Partition(Partition.BOOT).info()[0] == Partition.TYPE_APP


def test_by_label():
    assert Partition("nvs").info()[4] == "nvs"
    assert Partition("ota_1").info()[1] == 0x11
    assert raises(OSError, Partition, "no such").args[0] == 2


def test_wrong_identifiers():
    raises(ValueError, Partition, 2)
    raises(ValueError, Partition, -1)
    raises(ValueError, Partition, "nvs", 3000)
    raises(TypeError, Partition)


def test_find():
    apps = [p.info()[4] for p in Partition.find()]
    assert "ota_0" in apps and "ota_1" in apps and "nvs" not in apps
    assert [p.info()[4] for p in Partition.find(Partition.TYPE_APP, 0x11)] == ["ota_1"]
    assert [p.info()[4] for p in Partition.find(Partition.TYPE_DATA, label="nvs")] == ["nvs"]
    assert [p.info()[1] for p in Partition.find(Partition.TYPE_DATA, subtype=0x00)] == [0]
    assert Partition.find(Partition.TYPE_APP, label="no such") == []
    assert len(Partition.find(Partition.TYPE_DATA)) >= 3


def test_next_update_goes_round():
    running = Partition(Partition.RUNNING)
    assert other().info() != running.info()
    assert other().get_next_update().info() == running.info()


def test_repr_names_the_label():
    assert "label=ota_" in repr(other())


def test_ioctl():
    part = other()
    assert [part.ioctl(cmd, 0) for cmd in (1, 2, 3)] == [0, 0, 0]
    assert part.ioctl(4, 0) == part.info()[3] // SECTOR
    assert part.ioctl(5, 0) == SECTOR
    assert part.ioctl(99, 0) is None


def test_write_without_offset_erases():
    part = other()
    part.writeblocks(3, bytes(SECTOR))
    part.writeblocks(3, b"\xa5" * SECTOR)
    buf = bytearray(SECTOR)
    part.readblocks(3, buf)
    assert buf == b"\xa5" * SECTOR


def test_write_with_offset_only_clears_bits():
    part = other()
    part.ioctl(6, 3)
    buf = bytearray(8)
    part.readblocks(3, buf, 16)
    assert buf == b"\xff" * 8
    part.writeblocks(3, b"\xf0" * 8, 16)
    part.writeblocks(3, b"\x3c" * 4, 16)
    part.readblocks(3, buf, 16)
    assert buf == b"\x30" * 4 + b"\xf0" * 4
    part.readblocks(3, buf, 24)
    assert buf == b"\xff" * 8


def test_reads_across_blocks():
    part = other()
    part.writeblocks(3, b"\x11" * SECTOR + b"\x22" * SECTOR)
    buf = bytearray(16)
    part.readblocks(3, buf, SECTOR - 8)
    assert buf == b"\x11" * 8 + b"\x22" * 8


def test_outside_the_partition():
    part = other()
    count = part.ioctl(4, 0)
    size, arg = "ESP_ERR_INVALID_SIZE", "ESP_ERR_INVALID_ARG"
    assert raises(OSError, part.readblocks, count - 1, bytearray(SECTOR + 1)).args == (-260, size)
    assert raises(OSError, part.readblocks, count + 1, bytearray(1)).args == (-258, arg)
    assert raises(OSError, part.writeblocks, count - 1, bytes(8), SECTOR - 4).args == (-260, size)
    assert raises(OSError, part.ioctl, 6, count).args == (-260, size)


def test_erasing_write_takes_whole_sectors():
    assert raises(OSError, other().writeblocks, 3, bytes(100)).args[0] == -260


def test_smaller_blocks_keep_their_neighbours():
    other().writeblocks(3, b"\x11" * SECTOR)
    small = Partition(other().info()[4], 512)
    assert small.ioctl(5, 0) == 512 and small.ioctl(4, 0) == small.info()[3] // 512
    small.writeblocks(3 * 8 + 1, b"\x22" * 512)
    buf = bytearray(1536)
    small.readblocks(3 * 8, buf)
    assert buf == b"\x11" * 512 + b"\x22" * 512 + b"\x11" * 512


def test_set_boot_refuses_what_is_no_image():
    part = other()
    part.ioctl(6, 0)
    error = raises(OSError, part.set_boot)
    assert error.args == (-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
    assert Partition(Partition.BOOT).info() == Partition(Partition.RUNNING).info()
    assert raises(OSError, Partition("nvs").set_boot).args[0] == -5379


def test_set_boot_and_back():
    running, part = Partition(Partition.RUNNING), other()
    buf = bytearray(SECTOR)
    for block in range(part.ioctl(4, 0)):
        running.readblocks(block, buf)
        part.writeblocks(block, buf)
    part.set_boot()
    assert Partition(Partition.BOOT).info() == part.info()
    assert Partition(Partition.RUNNING).info() == running.info()
    running.set_boot()
    Partition.mark_app_valid_cancel_rollback()
    assert Partition(Partition.BOOT).info() == running.info()
    part.readblocks(0, buf)
    buf[0x130] ^= 1
    part.writeblocks(0, buf)
    assert raises(OSError, part.set_boot).args[0] == -5379


def test_mark_valid_twice():
    Partition.mark_app_valid_cancel_rollback()
    assert Partition.mark_app_valid_cancel_rollback() is None
