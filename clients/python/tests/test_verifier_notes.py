"""Notes and keys in every hostile shape: one table of what holds, one of what does not."""

import base64
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from goldfin_ledger.notes import BadNote, LogKey, read_checkpoint

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = LogKey(SIGNER.public_key().public_bytes_raw())
ORIGIN = f"{KEY.log_id}/1"
ROOT = bytes(range(100, 132))
ROOT64 = base64.b64encode(ROOT).decode()
TEXT = f"{ORIGIN}\n4711\n{ROOT64}\n"


def line(text: str, name: str = ORIGIN, signer: Ed25519PrivateKey = SIGNER, key_id: bytes | None = None) -> str:
    value = (KEY.key_id(name) if key_id is None else key_id) + signer.sign(text.encode())
    return f"\u2014 {name} {base64.b64encode(value).decode()}\n"


def signed(text: str, before: str = "", after: str = "") -> str:
    return f"{text}\n{before}{line(text)}{after}"


def of(origin: str = ORIGIN, size: str = "4711", root: str = ROOT64) -> str:
    return signed(f"{origin}\n{size}\n{root}\n")


WITNESS = f"\u2014 witness.example {base64.b64encode(bytes(76)).decode()}\n"
OUR_LINE = line(TEXT)
# The last letter of a text of 32 bytes holds two bits that no byte uses, and that of a signature none: 68 bytes end with "=".
LAX_ROOT = ROOT64[:-2] + chr(ord(ROOT64[-2]) + 1) + "="

GOOD = {
    "plain": signed(TEXT),
    "a witness before": signed(TEXT, before=WITNESS),
    "a witness behind": signed(TEXT, after=WITNESS),
    "fifteen witnesses": signed(TEXT, before=WITNESS * 7, after=WITNESS * 8),
    "our name with another key id": signed(TEXT, after=line(TEXT, key_id=b"\0\0\0\0")),
    "another's signature of five bytes": signed(TEXT, after="\u2014 short.example AAAAAAA=\n"),
    "a name beyond ASCII": signed(TEXT, after="\u2014 zeug\u00e9 AAAAAAA=\n"),
    "the size 1": of(size="1"),
    "the largest size": of(size=str(2**63 - 1)),
    "twice the same signature": signed(TEXT, after=OUR_LINE),
}

BAD = {
    "nothing": "",
    "a line end": "\n",
    "text alone": TEXT,
    "no signature": TEXT + "\n",
    "no line end": signed(TEXT)[:-1],
    "an empty line behind": signed(TEXT) + "\n",
    "an empty line before": "\n" + signed(TEXT),
    "two empty lines": TEXT + "\n\n" + OUR_LINE,
    "no empty line": TEXT + OUR_LINE,
    "two lines": signed(f"{ORIGIN}\n4711\n"),
    "four lines": signed(TEXT + "extension\n"),
    "CRLF": signed(TEXT).replace("\n", "\r\n"),
    "a carriage return": of(size="4711\r"),
    "a NUL": of(origin=ORIGIN + "\0"),
    "a tab": of(size="\t4711"),
    "a byte order mark": "\ufeff" + signed(TEXT),
    "a space behind": of(size="4711 "),
    "a hyphen": signed(TEXT).replace("\u2014", "-"),
    "an en dash": signed(TEXT).replace("\u2014", "\u2013"),
    "two spaces": signed(TEXT).replace("\u2014 ", "\u2014  "),
    "no space": signed(TEXT).replace("\u2014 ", "\u2014"),
    "a space at the end": signed(TEXT)[:-1] + " \n",
    "a no-break space in a name": signed(TEXT, after="\u2014 a\u00a0b AAAAAAA=\n"),
    "a plus in a name": signed(TEXT, after="\u2014 a+b AAAAAAA=\n"),
    "no name": signed(TEXT, after="\u2014  AAAAAAA=\n"),
    "another's signature of four bytes": signed(TEXT, after="\u2014 short.example AAAAAA==\n"),
    "another's signature is not base64": signed(TEXT, after="\u2014 a AAAAAAA\n"),
    "another's signature in base64 for URLs": signed(TEXT, after="\u2014 a AAAA_AA=\n"),
    "a line behind the signatures": signed(TEXT, after="hello\n"),
    "too many signatures": signed(TEXT, after=WITNESS * 16),
    "too long": signed(TEXT, after=f"\u2014 {'a' * 16_384} AAAAAAA=\n"),
    "the size 0": of(size="0"),
    "a leading zero": of(size="04711"),
    "a sign": of(size="+4711"),
    "below zero": of(size="-4711"),
    "hex": of(size="0x10"),
    "Arabic digits": of(size="\u0664\u0667\u0661\u0661"),
    "superscript digits": of(size="4711\u00b2"),
    "an underscore": of(size="4_711"),
    "no size": of(size=""),
    "a fraction": of(size="4711.0"),
    "a size too large": of(size=str(2**63)),
    "a size far too large": of(size="9" * 5000),
    "no root": of(root=""),
    "a short root": of(root=base64.b64encode(ROOT[:31]).decode()),
    "a long root": of(root=base64.b64encode(ROOT + b"\0").decode()),
    "a root without padding": of(root=ROOT64[:-1]),
    "a root that is not canonical": of(root=LAX_ROOT),
    "a root in hex": of(root=ROOT.hex()),
    "a root with a space": of(root=ROOT64[:8] + " " + ROOT64[8:]),
    "another stream": of(origin=f"{KEY.log_id}/2"),
    "stream 0": of(origin=f"{KEY.log_id}/0"),
    "stream 01": of(origin=f"{KEY.log_id}/01"),
    "no stream": of(origin=KEY.log_id),
    "an origin in capitals": of(origin=ORIGIN.upper()),
    "another log": of(origin="goldfin/0123456789abcdef/1"),
    "nobody": of(origin=""),
    "another's key": TEXT + "\n" + line(TEXT, signer=STRANGER),
    "another key id": TEXT + "\n" + line(TEXT, key_id=b"\0\0\0\0"),
    "signed as another name": TEXT + "\n" + line(TEXT, name=f"{KEY.log_id}/2"),
    "signed as the log": TEXT + "\n" + line(TEXT, name=KEY.log_id),
    "the signature of another text": TEXT + "\n" + line(TEXT.replace("4711", "4712")),
    "the empty line signed with it": TEXT + "\n" + line(TEXT + "\n"),
    "a good signature and a bad one": signed(TEXT, after=line(TEXT + "x")),
    "a bad signature and a good one": signed(TEXT, before=line(TEXT + "x")),
    "a signature cut": f"{TEXT}\n\u2014 {ORIGIN} {base64.b64encode(KEY.key_id(ORIGIN) + SIGNER.sign(TEXT.encode())[:-1]).decode()}\n",
    "a signature grown": f"{TEXT}\n\u2014 {ORIGIN} {base64.b64encode(KEY.key_id(ORIGIN) + SIGNER.sign(TEXT.encode()) + b'x').decode()}\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_good_notes(name):
    note = read_checkpoint(GOOD[name].encode())
    KEY.check(note, 1)
    assert (note.origin, note.root) == (ORIGIN, ROOT)


@pytest.mark.parametrize("name", BAD)
def test_bad_notes(name):
    with pytest.raises(BadNote):
        KEY.check(read_checkpoint(BAD[name].encode()), 1)


def test_no_bit_of_a_note_can_be_flipped():
    note = signed(TEXT).encode()
    for bit in range(len(note) * 8):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadNote):
            KEY.check(read_checkpoint(bytes(changed)), 1)


def test_no_noise_raises_anything_else():
    rng = random.Random(86)
    note = signed(TEXT, after=WITNESS).encode()
    for _ in range(20_000):
        changed = bytearray(note)
        for _ in range(rng.randrange(1, 4)):
            at, size = rng.randrange(len(changed)), rng.choice([0, 1, 2, 40])
            changed[at : at + size] = rng.choice([b"", b"\n", b"\xff", b"=", b"0", rng.randbytes(3), note[at : at + 90]])
        try:
            parsed = read_checkpoint(bytes(changed))
            KEY.check(parsed, 1)
        except BadNote:
            continue
        assert parsed.signed == TEXT.encode()


def key_line(name: str = KEY.log_id, key_id: str | None = None, data: bytes = b"\x01" + KEY.public) -> str:
    return f"{name}+{KEY.key_id(name).hex() if key_id is None else key_id}+{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("text", [key_line(), key_line() + "\n", key_line(ORIGIN), key_line(f"{KEY.log_id}/2147483647")])
def test_good_keys(text):
    assert LogKey.read(text).public == KEY.public


BAD_KEYS = {
    "nothing": "",
    "two lines": key_line() + "\n" + key_line() + "\n",
    "two line ends": key_line() + "\n\n",
    "CRLF": key_line() + "\r\n",
    "a space before": " " + key_line(),
    "another key id": key_line(key_id="00000000"),
    "a key id in capitals": key_line(key_id=KEY.key_id(KEY.log_id).hex().upper())
    + ("" if KEY.key_id(KEY.log_id).hex().isdigit() else "\n"),
    "a short key id": key_line(key_id=KEY.key_id(KEY.log_id).hex()[:7]),
    "a key id of another name": key_line(ORIGIN, key_id=KEY.key_id(KEY.log_id).hex()),
    "another name": key_line("goldfin/0123456789abcdef"),
    "a name of anybody": key_line("example.org"),
    "stream 0": key_line(f"{KEY.log_id}/0"),
    "stream 01": key_line(f"{KEY.log_id}/01"),
    "a name that goes on": key_line(f"{ORIGIN}/1"),
    "another algorithm": key_line(data=b"\x02" + KEY.public),
    "a short key": key_line(data=b"\x01" + KEY.public[:31]),
    "a long key": key_line(data=b"\x01" + KEY.public + b"\0"),
    "no padding": key_line() + "=",
    "only a key": base64.b64encode(KEY.public).decode(),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(name):
    with pytest.raises(BadNote):
        LogKey.read(BAD_KEYS[name])
