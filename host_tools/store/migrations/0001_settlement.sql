-- Settlement store. Journals (readings, entries, postings, events) are append-only; each point has one
-- state row, written in the same transaction, that is also its duplicate check. Energy is Wh, money
-- nano-currency, time Unix seconds UTC.

CREATE TABLE modules (
  id TEXT PRIMARY KEY,
  shard INTEGER NOT NULL,
  epoch INTEGER,                         -- of its journal; NULL until it was first heard
  events_seq INTEGER NOT NULL DEFAULT 0, -- settled sequence of stream 8
  command_id INTEGER NOT NULL DEFAULT 0, -- last one given out
  boot_id INTEGER,
  boot_ticks_ms INTEGER,
  hello_s INTEGER,
  firmware TEXT,
  config_version INTEGER,
  reset_cause INTEGER,
  gone_s INTEGER                         -- when the broker lost it; NULL while it is heard
);

CREATE TABLE tariffs (
  version INTEGER PRIMARY KEY,
  currency TEXT NOT NULL,
  name TEXT NOT NULL,
  book BLOB NOT NULL,                    -- canonical CBOR of tariff.to_wire
  stored_s INTEGER NOT NULL
);

CREATE TABLE points (
  id INTEGER PRIMARY KEY,
  module TEXT NOT NULL REFERENCES modules (id),
  point INTEGER NOT NULL,
  label TEXT NOT NULL,
  currency TEXT NOT NULL,
  -- settled state: the fields of ledger.State; seq is the duplicate watermark
  seq INTEGER NOT NULL,
  time_s INTEGER NOT NULL,
  register_wh INTEGER NOT NULL,
  balance_ncur INTEGER NOT NULL,
  period INTEGER NOT NULL,
  used_wh INTEGER NOT NULL,
  day INTEGER NOT NULL,
  version INTEGER NOT NULL,
  mark_generation INTEGER NOT NULL,
  mark_highest INTEGER NOT NULL,
  mark_floor INTEGER NOT NULL,
  mark_used INTEGER NOT NULL,
  charged_ncur INTEGER NOT NULL,
  topups_ncur INTEGER NOT NULL,
  head BLOB NOT NULL,
  -- what the module itself said last: newest sequence, batch statement, statement message
  sent_seq INTEGER NOT NULL DEFAULT 0,
  said_seq INTEGER,
  said_balance_ncur INTEGER,
  said_head BLOB,
  statement_seq INTEGER,
  statement_s INTEGER,
  statement_register_wh INTEGER,
  statement_version INTEGER,
  statement_balance_ncur INTEGER,
  statement_charged_ncur INTEGER,
  statement_topups_ncur INTEGER,
  statement_head BLOB,
  duplicates INTEGER NOT NULL DEFAULT 0, -- records dropped because they were settled or parked already
  UNIQUE (module, point)
);

CREATE TABLE assignments (
  point_id INTEGER NOT NULL REFERENCES points (id),
  from_s INTEGER NOT NULL,
  version INTEGER NOT NULL REFERENCES tariffs (version),
  PRIMARY KEY (point_id, from_s)
);

CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  point_id INTEGER NOT NULL REFERENCES points (id),
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  from_s INTEGER NOT NULL,
  to_s INTEGER NOT NULL,
  register_wh INTEGER NOT NULL,
  energy_wh INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  version INTEGER NOT NULL,
  charge_ncur INTEGER NOT NULL,
  arrived_s INTEGER NOT NULL
);

CREATE TABLE entries (
  point_id INTEGER NOT NULL REFERENCES points (id),
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  time_s INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  register_wh INTEGER NOT NULL,
  energy_wh INTEGER NOT NULL,
  version INTEGER NOT NULL,
  period INTEGER NOT NULL,
  used_wh INTEGER NOT NULL,
  amount_ncur INTEGER NOT NULL,
  number INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  balance_ncur INTEGER NOT NULL,
  head BLOB NOT NULL,
  UNIQUE (point_id, seq)
);

-- One row is one transfer from a credited to a debited account, so debits equal credits in every row.
CREATE TABLE postings (
  id INTEGER PRIMARY KEY,
  point_id INTEGER NOT NULL REFERENCES points (id),
  time_s INTEGER NOT NULL,
  debit TEXT NOT NULL,
  credit TEXT NOT NULL,
  amount_ncur INTEGER NOT NULL CHECK (amount_ncur > 0),
  currency TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('entry', 'payment')),
  number INTEGER NOT NULL,               -- entry sequence, or top-up number
  CHECK (debit <> credit)
);
CREATE INDEX postings_point ON postings (point_id);

CREATE VIEW legs AS
  SELECT id, point_id, time_s, debit AS account, amount_ncur, currency, source, number FROM postings
  UNION ALL
  SELECT id, point_id, time_s, credit, -amount_ncur, currency, source, number FROM postings;

CREATE TABLE topups (
  point_id INTEGER NOT NULL REFERENCES points (id),
  generation INTEGER NOT NULL,
  number INTEGER NOT NULL,
  reference TEXT NOT NULL UNIQUE,        -- of the payment: the same one is paid in once
  amount_ncur INTEGER NOT NULL CHECK (amount_ncur > 0),
  paid_s INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('in flight', 'credited', 'refused')),
  credited_seq INTEGER,
  PRIMARY KEY (point_id, generation, number)
);

CREATE TABLE commands (
  module TEXT NOT NULL REFERENCES modules (id),
  id INTEGER NOT NULL,
  target INTEGER NOT NULL,
  action INTEGER NOT NULL,
  args BLOB NOT NULL,                    -- canonical CBOR
  issued_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'done', 'refused', 'expired')),
  sent INTEGER NOT NULL DEFAULT 0,       -- how many times
  status INTEGER,
  detail INTEGER,
  answered_s INTEGER,
  PRIMARY KEY (module, id)
);
CREATE INDEX commands_open ON commands (module, id) WHERE state IN ('queued', 'sent');

CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  module TEXT NOT NULL REFERENCES modules (id),
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,                 -- messages.EVENTS or messages.RESULT
  time_s INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  code INTEGER NOT NULL,                 -- event code, or status of a result
  point INTEGER NOT NULL,                -- 255 for the module
  args BLOB NOT NULL,                    -- canonical CBOR list of integers
  arrived_s INTEGER NOT NULL,
  UNIQUE (module, seq)
);

CREATE TABLE parked (
  module TEXT NOT NULL REFERENCES modules (id),
  stream INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  digest BLOB NOT NULL,
  payload BLOB NOT NULL,                 -- canonical CBOR of the authenticated message
  arrived_s INTEGER NOT NULL,
  PRIMARY KEY (module, stream, first_seq, digest)
);

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
  count INTEGER NOT NULL,
  UNIQUE (digest, reason)
);

CREATE TABLE differences (
  id INTEGER PRIMARY KEY,
  point_id INTEGER NOT NULL REFERENCES points (id),
  class TEXT NOT NULL,
  seq INTEGER NOT NULL,
  detail TEXT NOT NULL,
  module_value TEXT NOT NULL,
  host_value TEXT NOT NULL,
  opened_s INTEGER NOT NULL,
  last_s INTEGER NOT NULL,
  count INTEGER NOT NULL,
  closed_s INTEGER
);
CREATE UNIQUE INDEX differences_open ON differences (point_id, class, detail)
  WHERE closed_s IS NULL;

CREATE TRIGGER readings_stay BEFORE UPDATE ON readings
  BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER readings_remain BEFORE DELETE ON readings
  BEGIN SELECT RAISE(ABORT, 'readings are append-only'); END;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER postings_stay BEFORE UPDATE ON postings
  BEGIN SELECT RAISE(ABORT, 'postings are append-only'); END;
CREATE TRIGGER postings_remain BEFORE DELETE ON postings
  BEGIN SELECT RAISE(ABORT, 'postings are append-only'); END;
CREATE TRIGGER events_stay BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
