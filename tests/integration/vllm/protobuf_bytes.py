"""Protobuf by hand: what a peer that shares no code with us puts on the wire."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def number(field, value):
    return varint(field << 3 | VARINT) + varint(value)


def block(field, content):
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def fixed32(field, content):
    return varint(field << 3 | FIXED32) + content


def fixed64(field, content):
    return varint(field << 3 | FIXED64) + content


def packed(field, values):
    return block(field, b"".join(varint(value) for value in values))


def _take_varint(encoded, at):
    value = shift = 0
    while True:
        byte = encoded[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def decode(encoded):
    """[(field, value)]: numbers for varints, bytes for the rest."""
    fields, at = [], 0
    while at < len(encoded):
        key, at = _take_varint(encoded, at)
        if key & 7 == VARINT:
            value, at = _take_varint(encoded, at)
        else:
            length = {FIXED32: 4, FIXED64: 8}.get(key & 7)
            if length is None:
                length, at = _take_varint(encoded, at)
            value, at = encoded[at:at + length], at + length
        fields.append((key >> 3, value))
    return fields


def varints(content):
    values, at = [], 0
    while at < len(content):
        value, at = _take_varint(content, at)
        values.append(value)
    return values
