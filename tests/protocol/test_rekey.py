# runs on: cpython micropython
"""Both sides come to the same new key, and know it by its check."""

from protocol import rekey

KEY = bytes(range(32))
SALT = bytes(range(16))


def test_a_new_key_follows_from_the_old_one_and_the_salt_alone():
    new = rekey.next_root(KEY, SALT)
    assert len(new) == 32 and new == rekey.next_root(KEY, SALT)
    assert new != KEY and new != rekey.next_root(KEY, bytes(16)) != rekey.next_root(new, SALT)


def test_a_check_tells_keys_apart():
    assert len(rekey.check(KEY)) == rekey.CHECK_BYTES
    assert rekey.check(KEY) != rekey.check(rekey.next_root(KEY, SALT))
