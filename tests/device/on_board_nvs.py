"""esp32.NVS as documented: 32-bit integers and blobs, errors with ESP-IDF's numbers. Uses the namespace fwtest."""

from esp32 import NVS
from on_board import raises


def fresh(*keys):
    """The namespace, without these keys."""
    nvs = NVS("fwtest")
    for key in keys:
        try:
            nvs.erase_key(key)
        except OSError:
            pass
    nvs.commit()
    return nvs


def test_integers():
    nvs = fresh("i")
    for value in (0, 1, -1, 2**31 - 1, -(2**31)):
        nvs.set_i32("i", value)
        assert nvs.get_i32("i") == value
        nvs.commit()
        assert NVS("fwtest").get_i32("i") == value


def test_blobs():
    nvs = fresh("b")
    for size in (0, 1, 32, 33, 500, 1900):
        data = bytes(i & 255 for i in range(size))
        nvs.set_blob("b", data)
        nvs.commit()
        buf = bytearray(2000)
        assert nvs.get_blob("b", buf) == size
        assert buf[:size] == data


def test_a_long_blob_over_pages():
    nvs = fresh("b")
    data = bytes(i * 7 & 255 for i in range(4500))
    nvs.set_blob("b", bytearray(data))
    nvs.commit()
    buf = bytearray(4500)
    assert nvs.get_blob("b", buf) == 4500 and buf == data
    nvs.erase_key("b")
    nvs.commit()


def test_missing_key():
    nvs = fresh("none")
    assert raises(OSError, nvs.get_i32, "none").args == (-4354, "ESP_ERR_NVS_NOT_FOUND")
    assert raises(OSError, nvs.get_blob, "none", bytearray(4)).args[0] == -4354
    assert raises(OSError, nvs.erase_key, "none").args[0] == -4354


def test_other_type():
    nvs = fresh("i", "b")
    nvs.set_i32("i", 5)
    nvs.set_blob("b", b"12345")
    nvs.commit()
    assert raises(OSError, nvs.get_i32, "b").args[0] == -4355
    assert raises(OSError, nvs.get_blob, "i", bytearray(8)).args[0] == -4355


def test_buffer_too_small():
    nvs = fresh("b")
    nvs.set_blob("b", b"12345")
    assert raises(OSError, nvs.get_blob, "b", bytearray(4)).args == (-4364, "ESP_ERR_NVS_INVALID_LENGTH")
    nvs.commit()
    assert raises(OSError, nvs.get_blob, "b", bytearray(4)).args[0] == -4364


def test_key_too_long():
    nvs = fresh()
    assert raises(OSError, nvs.set_i32, "a" * 16, 1).args == (-4361, "ESP_ERR_NVS_KEY_TOO_LONG")
    nvs.set_i32("a" * 15, 1)
    nvs.commit()
    nvs.erase_key("a" * 15)
    nvs.commit()


def test_erase():
    nvs = fresh("i")
    nvs.set_i32("i", 1)
    nvs.commit()
    nvs.erase_key("i")
    nvs.commit()
    assert raises(OSError, nvs.get_i32, "i").args[0] == -4354


def test_wrong_arguments():
    raises(TypeError, NVS)
    raises(TypeError, NVS, 5)
    raises(TypeError, NVS("fwtest").set_blob, "b", 3.5)


def test_a_full_partition_says_so():
    nvs = fresh("big")
    code = 0
    try:
        nvs.set_blob("big", bytes(16000))
        nvs.commit()
        nvs.erase_key("big")
    except OSError as error:
        code = error.args[0]
    assert code in (-4357, -4366)  # not enough space, value too long
    nvs.set_i32("i", 77)
    nvs.commit()
    assert nvs.get_i32("i") == 77
