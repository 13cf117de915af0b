"""`gridpurse backup`, `restore` and `verify`: the store into one file, back again, and whether
either is sound. What an operator does after a restore is in docs/operator.md."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from host_tools import Refused
from host_tools.backup import archive, check
from host_tools.backup.archive import Manifest
from host_tools.backup.check import Checked
from host_tools.config import StoreAddress
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store.sql import Database, sqlite


def add_backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a new file; it never stands there half written")
    _add_common_arguments(parser)


def add_restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="what `gridpurse backup` made")
    what = "folder without a store (default: the configured PostgreSQL database)"
    parser.add_argument("--into", type=Path, help=what)
    _add_common_arguments(parser)


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    what = "data folder or backup (default: the configured folder)"
    parser.add_argument("target", type=Path, nargs="?", help=what)
    _add_common_arguments(parser)


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def backup(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    manifest = archive.take(settings.store(), arguments.file, settings.clock().now_s())
    lacking = sorted(module for module, kept in manifest.keys.items() if kept is None)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), **_told(manifest), "keys_lost": lacking}))
        return 0
    print(f"backup taken 备份完成: {arguments.file}, {_in_words(manifest)}")
    keys = settings.data_dir.joinpath(archive.KEYS)
    print(f"keys are not in it, keep a copy of {keys} apart 不含密钥，请另行保存")
    if lacking:
        print(f"no usable key now for 以下模块现无可用密钥: {_few(lacking)}")
    return 0


def restore(arguments: argparse.Namespace) -> int:
    """0 when the restored store is sound, 1 when it is not; it is there either way."""
    settings = settings_of(arguments)
    place = settings.store() if arguments.into is None else StoreAddress(arguments.into)
    if arguments.into is None and not place.url:
        raise Refused("--into: name a folder without a store 请用 --into 指定目录")
    folder = place.folder
    manifest = archive.restore(arguments.file, place, settings.clock().now_s())
    checked = _verified(place)
    lacking = [
        module
        for module, kept in manifest.keys.items()
        if kept is None or archive.key_check(folder.joinpath(archive.KEYS), module) != kept
    ]
    if arguments.json:
        told = {"folder": str(folder), **_told(manifest), "keys_lacking": lacking}
        print(json.dumps(told | _findings(checked)))
        return 1 if checked.found else 0
    print(f"restored 已恢复: {place.shown or folder}, {_in_words(manifest)}")
    if lacking:
        keys = folder.joinpath(archive.KEYS)
        print(
            f"copy the right keys into {keys} 请放入正确的密钥: {len(lacking)} of"
            f" {manifest.modules} lack 缺: {_few(lacking)}"
        )
    print(
        "before settle starts, book the payments made since the backup again, each point's in"
        " their old order 启动结算前，请按原顺序重新录入备份之后的缴费"
    )
    return _shown(checked)


def verify(arguments: argparse.Namespace) -> int:
    """0 when all is sound, 1 when something is not."""
    target = arguments.target
    if target is None:
        place = settings_of(arguments).store()
        target = place.shown or place.folder
        checked = _verified(place)
    elif target.is_dir():
        checked = _verified(StoreAddress(target))
    elif target.exists():
        archive.check_hash(target, archive.manifest_of(target))
        with archive.read_only(target, immutable=True) as store:
            checked = _checked(sqlite.SqliteDatabase(store, target))
    else:
        raise Refused(f"{target}: no such folder or backup 无此目录或备份")
    if arguments.json:
        print(json.dumps({"target": str(target), **_findings(checked)}))
        return 1 if checked.found else 0
    return _shown(checked)


def _verified(place: StoreAddress) -> Checked:
    with archive.source(place) as store:
        return _checked(store)


def _checked(store: Database) -> Checked:
    try:
        return check.check(store)
    except Refused as error:
        raise Refused(f"{store.where}: {error}") from error


def _told(manifest: Manifest) -> dict[str, object]:
    return {name: value for name, value in asdict(manifest).items() if name != "keys"}


def _in_words(manifest: Manifest) -> str:
    return (
        f"{manifest.modules} modules 模块, {manifest.points} points 用电点, {manifest.entries}"
        f" entries 账目, SHA-256 {manifest.sha256[:16]}"
    )


def _findings(checked: Checked) -> dict[str, object]:
    return {
        "sound": not checked.found,
        "points": checked.points,
        "entries": checked.entries,
        "found": checked.found,
        "findings": [asdict(finding) for finding in checked.findings],
    }


def _shown(checked: Checked) -> int:
    for finding in checked.findings:
        print(finding)
    if checked.found > len(checked.findings):
        print(f"{checked.found} findings in all 共 {checked.found} 项")
    counted = f"{checked.points} points 用电点, {checked.entries} entries 账目"
    print(f"{'not sound 校验不符' if checked.found else 'sound 校验一致'}: {counted}")
    return 1 if checked.found else 0


def _few(modules: list[str]) -> str:
    more = f" +{len(modules) - 5}" if len(modules) > 5 else ""
    return ", ".join(modules[:5]) + more
