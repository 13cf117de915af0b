-- Whether a refused message has its row already is known in memory, see host_tools/store/intake.py. The
-- unique index by its digest went to another page for each message: more work than the row itself.

ALTER TABLE rejects RENAME TO rejects_before;

CREATE TABLE rejects (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL CHECK (source IN ('host', 'module')),
  first_s INTEGER NOT NULL,
  last_s INTEGER NOT NULL,
  topic TEXT NOT NULL,
  module TEXT,
  reason INTEGER NOT NULL,
  detail TEXT NOT NULL,
  digest BLOB NOT NULL,
  bytes BLOB NOT NULL,
  size INTEGER NOT NULL,
  count INTEGER NOT NULL
);

INSERT INTO rejects (source, first_s, last_s, topic, module, reason, detail, digest, bytes, size, count)
  SELECT source, first_s, last_s, topic, module, reason, detail, digest, bytes, size, count
  FROM rejects_before ORDER BY id;

DROP TABLE rejects_before;
