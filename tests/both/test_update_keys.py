"""The key store in NVS: kept, limited, and clear about what went wrong."""

import fake_esp32
from fwnode.update import KeyStoreError
from fwnode.update.keys import KeyStore
from support import raises, run

KEY = b"k" * 32


def store(room=4000, lazy=False):
    board = fake_esp32.Board(lazy=lazy)
    return KeyStore(fake_esp32.NVS(board, room)), board


def test_kept_over_a_boot():
    keys, board = store(lazy=True)
    assert keys.get("sk") is None and keys.get("cert") is None
    keys.put("sk", KEY)
    keys.put("cert", b"c" * 400)
    again = KeyStore(fake_esp32.NVS(board))
    assert again.get("sk") == KEY and again.get("cert") == b"c" * 400
    again.drop("cert")
    again.drop("cert")
    assert KeyStore(fake_esp32.NVS(board)).get("cert") is None


def test_unchanged_value_is_not_written():
    keys, board = store()
    keys.put("sk", KEY)
    count = board.ops
    keys.put("sk", KEY)
    assert board.ops == count


def test_wrong_length():
    keys, board = store()
    for name, value, limit in (
        ("sk", b"k" * 31, "32 to 32"),
        ("sk", b"", "32 to 32"),
        ("cert", b"c" * 401, "1 to 400"),
        ("genesis", b"g" * 33, "32 to 32"),
        ("time", b"t" * 4, "8 to 8"),
    ):
        text = str(raises(KeyStoreError, keys.put, name, value))
        assert "NVS {}: {} bytes, limit {}".format(name, len(value), limit) in text
        board.nvs[name] = value
        text = str(raises(KeyStoreError, keys.get, name))
        assert "NVS {}".format(name) in text and ("limit" in text or "longer than" in text)
    keys.put("sk", KEY)  # a value that is none is replaced
    assert keys.get("sk") == KEY


def test_full():
    keys, _ = store(room=40)
    keys.put("sk", KEY)
    assert "NVS is full: no room for genesis (32 bytes)" in str(raises(KeyStoreError, keys.put, "genesis", KEY))
    assert keys.get("sk") == KEY and keys.get("genesis") is None


def test_flash_failure():
    keys, _ = store()

    def broken(*_):
        raise OSError(-0x106, "ESP_ERR_NOT_SUPPORTED")

    keys._nvs.set_blob = broken
    assert "NVS sk: write" in str(raises(KeyStoreError, keys.put, "sk", KEY))
    keys._nvs.get_blob = broken
    assert "NVS sk: read" in str(raises(KeyStoreError, keys.get, "sk"))
    keys._nvs.erase_key = broken
    assert "NVS sk: erase" in str(raises(KeyStoreError, keys.drop, "sk"))


def test_private_key_is_made_once():
    made = []

    def generate():
        yield
        made.append(1)
        return bytes([len(made)]) * 32

    keys, board = store(lazy=True)
    assert run(keys.private_key(generate)) == b"\x01" * 32
    again = KeyStore(fake_esp32.NVS(board))
    assert run(again.private_key(generate)) == b"\x01" * 32 and made == [1]


def test_private_key_that_nvs_does_not_keep():
    keys, _ = store()

    def generate():
        yield
        return KEY

    keys._nvs.set_blob = lambda name, value: None
    assert "reads back" in str(raises(KeyStoreError, lambda: run(keys.private_key(generate))))


def test_records():
    keys, board = store()
    assert keys.record("run") is None
    keys.put_record("run", {"p": b"ota_0", "e": 1})
    assert keys.record("run") == {"p": b"ota_0", "e": 1}
    board.nvs["run"] = b"d1:"
    assert keys.record("run") is None
    board.nvs["run"] = b"le"
    assert keys.record("run") is None


def test_newest_time_only_rises_and_spares_the_flash():
    keys, board = store()
    assert keys.newest_time() == 0
    keys.note_time(1700000000)
    assert keys.newest_time() == 1700000000
    count = board.ops
    keys.note_time(1700003599)
    keys.note_time(1600000000)
    assert keys.newest_time() == 1700000000 and board.ops == count
    keys.note_time(5000000000)
    assert keys.newest_time() == 5000000000
