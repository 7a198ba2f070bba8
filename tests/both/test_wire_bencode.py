"""BEP 3 bencoding, canonical: the same bytes both ways, and every malformed input refused by name."""

from fwnode.wire import WireError
from fwnode.wire.bencode import MAX_DEPTH, decode, decode_dict, encode
from support import raises


def test_values_encode_as_in_bep_3():
    assert encode({"b": [1, b"x"], "a": -3, "text": "é"}) == b"d1:ai-3e1:bli1e1:xe4:text2:\xc3\xa9e"


def test_decode_gives_back_what_was_encoded():
    for value in (0, -1, 2**63, b"", b"\x00" * 300, [], {}, {"a": {"b": [1, [2, b"3"]]}}):
        assert decode(encode(value)) == value


def test_keys_are_sorted_as_bytes():
    assert encode({"b": 1, "B": 2, "aa": 3, "a": 4}) == b"d1:Bi2e1:ai4e2:aai3e1:bi1ee"


def test_malformed_input_is_refused_with_its_offset():
    cases = (
        (b"", "data ends"),
        (b"i1", "without an end"),
        (b"ie", "not canonical"),
        (b"i01e", "not canonical"),
        (b"i-0e", "not canonical"),
        (b"i--1e", "not canonical"),
        (b"i+1e", "not canonical"),
        (b"i 1e", "not canonical"),
        (b"i" + b"9" * 40 + b"e", "without an end"),
        (b"5:abc", "runs past the end"),
        (b"05:abcde", "not canonical"),
        (b"-1:a", "starts no value"),
        (b"99999999999999999999:a", "runs past the end"),
        (b"l", "without an end"),
        (b"d1:a", "data ends"),
        (b"di1ei2ee", "key that is not a string"),
        (b"d1:bi1e1:ai1ee", "out of order"),
        (b"d1:ai1e1:ai1ee", "out of order or twice"),
        (b"d1:\xffi1ee", "not ASCII"),
        (b"i1ei2e", "after the end"),
        (b"x", "starts no value"),
        (b"l" * (MAX_DEPTH + 2) + b"e" * (MAX_DEPTH + 2), "nested deeper"),
    )
    for data, reason in cases:
        error = raises(WireError, decode, data)
        assert reason in str(error), (data, str(error))


def test_lenient_decoding_takes_unsorted_keys_but_no_doubles():
    assert decode(b"d1:bi1e1:ai2ee", strict=False) == {"a": 2, "b": 1}
    raises(WireError, decode, b"d1:bi1e1:ai2e1:bi3ee", False)


def test_a_string_under_the_key_of_the_view_stays_where_it_is():
    data = bytearray(encode({"a": b"1", "box": b"sealed", "c": [b"2"]}))
    found = decode(data, view="box")
    assert isinstance(found["box"], memoryview) and isinstance(found["a"], bytes)
    assert encode(found) == data
    data[bytes(data).find(b"sealed")] ^= 0x20
    assert bytes(found["box"]) == b"Sealed"
    for data, reason in (
        (b"d3:box", "data ends"),
        (b"d3:box8:sealede", "runs past the end"),
        (b"d3:box3", "number without an end"),
    ):
        assert reason in str(raises(WireError, decode, data, True, "box")), data
    assert decode(b"d3:boxi1ee", view="box") == {"box": 1}


def test_decode_dict_names_the_thing_and_the_limit():
    assert "demo: 4 bytes, limit 3" in str(raises(WireError, decode_dict, b"d1:a", "demo", 3))
    assert "demo: a dictionary" in str(raises(WireError, decode_dict, b"le", "demo", 3))


def test_what_has_no_encoding_is_refused():
    for value in (None, 1.5, True, {"a": None}):
        raises(WireError, encode, value)
