-- What is kept as it was given or issued: tariff files, bills and receipts with their numbers; what
-- the host itself entered, with its reason; and what a module stated past records that were lost.
-- Nothing here is changed or deleted but the last number of a series and the newest statement.

CREATE TABLE tariff_documents (
  version INTEGER PRIMARY KEY REFERENCES tariffs (version), -- the book that modules get
  name TEXT NOT NULL,
  text TEXT NOT NULL,                    -- the file; it says what a module cannot know
  digest BLOB NOT NULL,                  -- SHA-256 of the text
  stored_s INTEGER NOT NULL
);

-- The contracted power of a point, for lines of a tariff that ask it.
CREATE TABLE contracts (
  point_id INTEGER NOT NULL REFERENCES points (id),
  from_s INTEGER NOT NULL,
  contract_mw INTEGER NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  noted_s INTEGER NOT NULL,
  PRIMARY KEY (point_id, from_s)
);

-- An entry of the host, which no module has written. Its posting has source 'entry' and this number.
CREATE TABLE host_entries (
  number INTEGER PRIMARY KEY,
  point_id INTEGER NOT NULL REFERENCES points (id),
  class TEXT NOT NULL CHECK (class IN ('terms', 'storage rollback')),
  from_s INTEGER NOT NULL,               -- the period that it is for
  to_s INTEGER NOT NULL,
  version INTEGER NOT NULL,              -- of the tariff
  rule TEXT NOT NULL,                    -- which rule of it, or what of a statement
  amount_ncur INTEGER NOT NULL CHECK (amount_ncur <> 0), -- credit of the customer; negative: a debit
  command_id INTEGER NOT NULL,           -- the order that brings it to the module; 0: it is there
  posted_s INTEGER NOT NULL
);
CREATE INDEX host_entries_point ON host_entries (point_id);

INSERT INTO accounts VALUES (21, 'terms of tariffs'), (22, 'storage rollback');

-- A number is given out in the transaction of what it is for: one that fails leaves no gap.
CREATE TABLE series (
  name TEXT NOT NULL,
  year INTEGER NOT NULL,
  last INTEGER NOT NULL,
  resumed_s INTEGER NOT NULL DEFAULT 0,  -- when a restored store was told where it had been
  PRIMARY KEY (name, year)
);

-- Numbers that were given out after the backup that a store was restored from.
CREATE TABLE lost_numbers (
  name TEXT NOT NULL,
  year INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  noted_s INTEGER NOT NULL,
  PRIMARY KEY (name, year, first)
);

CREATE TABLE bills (
  number TEXT PRIMARY KEY,
  series TEXT NOT NULL,
  year INTEGER NOT NULL,
  place INTEGER NOT NULL,
  point_id INTEGER NOT NULL REFERENCES points (id),
  from_s INTEGER NOT NULL,
  to_s INTEGER NOT NULL,
  issued_s INTEGER NOT NULL,
  corrects TEXT UNIQUE REFERENCES bills (number), -- a credit bill names the bill that it takes back
  content TEXT NOT NULL,                 -- canonical JSON
  digest BLOB NOT NULL,                  -- SHA-256 of the content
  UNIQUE (series, year, place)
);
CREATE INDEX bills_point ON bills (point_id, from_s);

CREATE TABLE receipts (
  number TEXT PRIMARY KEY,
  series TEXT NOT NULL,
  year INTEGER NOT NULL,
  place INTEGER NOT NULL,
  reference TEXT NOT NULL UNIQUE REFERENCES topups (reference),
  issued_s INTEGER NOT NULL,
  content TEXT NOT NULL,
  digest BLOB NOT NULL,
  UNIQUE (series, year, place)
);

-- The newest statement that a module made past records which the host has not.
CREATE TABLE statements_ahead (
  point_id INTEGER PRIMARY KEY REFERENCES points (id),
  payload BLOB NOT NULL,                 -- canonical CBOR of the authenticated message
  heard_s INTEGER NOT NULL
);

CREATE TABLE adoptions (
  point_id INTEGER NOT NULL REFERENCES points (id),
  seq INTEGER NOT NULL,                  -- of the statement that the point goes on from
  first_seq INTEGER NOT NULL,            -- of the records that were lost
  payload BLOB NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  adopted_s INTEGER NOT NULL,
  PRIMARY KEY (point_id, seq)
);

CREATE TRIGGER tariff_documents_stay BEFORE UPDATE ON tariff_documents
  BEGIN SELECT RAISE(ABORT, 'a stored tariff is final'); END;
CREATE TRIGGER tariff_documents_remain BEFORE DELETE ON tariff_documents
  BEGIN SELECT RAISE(ABORT, 'a stored tariff is final'); END;
CREATE TRIGGER contracts_stay BEFORE UPDATE ON contracts
  BEGIN SELECT RAISE(ABORT, 'contracts are append-only'); END;
CREATE TRIGGER contracts_remain BEFORE DELETE ON contracts
  BEGIN SELECT RAISE(ABORT, 'contracts are append-only'); END;
CREATE TRIGGER host_entries_stay BEFORE UPDATE ON host_entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER host_entries_remain BEFORE DELETE ON host_entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER bills_stay BEFORE UPDATE ON bills
  BEGIN SELECT RAISE(ABORT, 'an issued bill is final'); END;
CREATE TRIGGER bills_remain BEFORE DELETE ON bills
  BEGIN SELECT RAISE(ABORT, 'an issued bill is final'); END;
CREATE TRIGGER receipts_stay BEFORE UPDATE ON receipts
  BEGIN SELECT RAISE(ABORT, 'a receipt is final'); END;
CREATE TRIGGER receipts_remain BEFORE DELETE ON receipts
  BEGIN SELECT RAISE(ABORT, 'a receipt is final'); END;
CREATE TRIGGER lost_numbers_stay BEFORE UPDATE ON lost_numbers
  BEGIN SELECT RAISE(ABORT, 'lost numbers are append-only'); END;
CREATE TRIGGER lost_numbers_remain BEFORE DELETE ON lost_numbers
  BEGIN SELECT RAISE(ABORT, 'lost numbers are append-only'); END;
CREATE TRIGGER adoptions_stay BEFORE UPDATE ON adoptions
  BEGIN SELECT RAISE(ABORT, 'adoptions are append-only'); END;
CREATE TRIGGER adoptions_remain BEFORE DELETE ON adoptions
  BEGIN SELECT RAISE(ABORT, 'adoptions are append-only'); END;
