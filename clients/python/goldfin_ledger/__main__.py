"""The command line: `goldfin-verify`, or `python -m goldfin_ledger`."""

import argparse
import json
import os
import sys
from pathlib import Path

from . import CannotVerify
from .archive import verify_archive
from .chain import LedgerKeys, read_unseal_key
from .notes import BadNote, LogKey
from .verify import Outcome, Report, Trust

CANNOT_VERIFY = 4
LONGEST_FILE = 1 << 20


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code: 0 sound, 2 tampered, 3 shorter than a known checkpoint, 4 cannot be verified."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:
        return CANNOT_VERIFY if end.code else 0
    try:
        report = _verify(options)
    except CannotVerify as error:
        if options.json:
            print(json.dumps({"verdict": "cannot verify", "exit_code": CANNOT_VERIFY, "why": str(error)}))
        else:
            print(f"cannot verify: {error}", file=sys.stderr)
        return CANNOT_VERIFY
    print(_as_json(report) if options.json else _as_text(report))
    return report.exit_code


def _verify(options: argparse.Namespace) -> Report:
    key = _public_key(options.public_key) if options.public_key else None
    checkpoints = [_read(path) for path in options.checkpoint]
    if options.database:
        from .database import Database

        unseal = read_unseal_key(_read(options.mac_key).decode(errors="replace")) if options.mac_key else None
        with Database(options.database) as database:
            keys = None if unseal is None else database.seal().open(unseal)
            return database.verify(_trust(key, keys, checkpoints))
    if options.mac_key and not (options.archive and options.seal):
        raise CannotVerify("the MAC key is opened by the seal of a database; give --database, or --archive and --seal, or the public key alone")
    keys = None
    if options.mac_key:
        from .database import Database

        with Database(options.seal) as database:
            keys = database.seal().open(read_unseal_key(_read(options.mac_key).decode(errors="replace")))
    trust = _trust(key, keys, checkpoints)
    if options.archive:
        return verify_archive(options.archive, trust)
    from .server import Server

    return Server(options.server, options.ca_cert, _auth_token(options.token_file)).verify(trust, options.receipt, options.proofs_only)


def _trust(key: LogKey | None, keys: LedgerKeys | None, checkpoints: list[bytes]) -> Trust:
    if key is not None and keys is not None and key.public != keys.public.public:
        raise CannotVerify("the public key is not that of this vault")
    return Trust(key or (keys.public if keys else None), keys.mac if keys else None, checkpoints)


def _public_key(path: Path) -> LogKey:
    try:
        return LogKey.read(_read(path).decode())
    except BadNote as error:
        raise CannotVerify(f"the public key cannot be used: {error}") from None
    except UnicodeDecodeError:
        raise CannotVerify("the public key cannot be used: it is not text") from None


def _auth_token(path: Path | None) -> str:
    token = _read(path).decode(errors="replace").strip() if path else os.environ.get("GOLDFIN_TOKEN") or os.environ.get("VAULT_TOKEN")
    if not token:
        raise CannotVerify("an auth token is missing; give --token-file, or set VAULT_TOKEN")
    return token


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise CannotVerify(f"a file cannot be read: {path}: {error.strerror}") from None
    if len(content) > LONGEST_FILE:
        raise CannotVerify(f"a file is too long: {path}")
    return content


def _as_json(report: Report) -> str:
    worst = report.worst()
    return json.dumps(
        {
            "verdict": worst.outcome.name.lower() if worst else "sound",
            "exit_code": report.exit_code,
            "streams": [
                {
                    "stream": each.stream,
                    "entries": each.entries,
                    "verdict": each.outcome.name.lower(),
                    "seq": each.seq,
                    "why": each.why or None,
                }
                for each in report.streams
            ],
        }
    )


def _as_text(report: Report) -> str:
    lines = []
    for each in report.streams:
        match each.outcome:
            case Outcome.SOUND:
                said = f"sound, {each.entries} entries"
            case Outcome.TAMPERED:
                said = f"tampered, first bad entry {each.stream}:{each.seq}: {each.why}"
            case Outcome.SHORTER:
                said = f"shorter, ends at {each.stream}:{each.seq}: {each.why}"
        lines.append(f"stream {each.stream}: {said}")
    worst = report.worst()
    lines.append("sound" if worst is None else f"{worst.outcome.name.lower()} {worst.stream}:{worst.seq}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="goldfin-verify",
        description="Verifies goldfin's audit ledger without goldfin.",
        epilog="Exit codes: 0 sound; 2 tampered, with the first bad entry; 3 shorter than a known checkpoint; 4 cannot be verified.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--database", metavar="URL", help="PostgreSQL, without a password in the URL (~/.pgpass or PGPASSWORD)")
    source.add_argument(
        "--archive",
        metavar="PATH",
        type=Path,
        action="append",
        help="an exported ledger, or archives: a file of NDJSON, compressed or not, or a folder of them; may be given again",
    )
    source.add_argument("--server", metavar="URL", help="a goldfin, https://host:port; with VAULT_TOKEN or --token-file")
    parser.add_argument("--public-key", metavar="FILE", type=Path, help="the public key of the checkpoints")
    parser.add_argument(
        "--mac-key", metavar="FILE", type=Path, help="the seal's key file, or the answer of `goldfin init` (with --database, or --seal)"
    )
    parser.add_argument("--seal", metavar="URL", help="the database whose seal the MAC key opens (with --archive)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, action="append", default=[], help="a checkpoint kept from before; may be given again"
    )
    parser.add_argument("--ca-cert", metavar="FILE", type=Path, help="CA certificates of the server (PEM)")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the auth token for the server")
    parser.add_argument(
        "--receipt", metavar="STREAM:SEQ:LEAF", action="append", default=[], help="prove that this entry is there (with --server)"
    )
    parser.add_argument(
        "--proofs-only", action="store_true", help="read no entries, only prove that trusted checkpoints are contained (with --server)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


if __name__ == "__main__":
    main()
