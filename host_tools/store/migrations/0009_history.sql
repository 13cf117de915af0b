-- Readings of a point from before its module: of the old meter, the old system, another vendor. They
-- were billed there, so nothing here is priced. One number counts the versions of all of a point: what
-- a file said, what the checks made of it, what a person decided. Rows are only ever added.

CREATE TABLE history_versions (
  point_id BIGINT NOT NULL REFERENCES points (id),
  version INTEGER NOT NULL CHECK (version > 0),
  kind TEXT NOT NULL CHECK (kind IN ('imported', 'checked', 'decided')),
  rule TEXT NOT NULL,                    -- checks that changed something; of a decision its review
  who TEXT NOT NULL CHECK (who <> ''),
  why TEXT NOT NULL CHECK (why <> ''),
  at_s BIGINT NOT NULL,
  file TEXT NOT NULL,                    -- its name, and SHA-256 of its bytes; empty for a decision
  file_digest BLOB NOT NULL,
  document TEXT NOT NULL,                -- text of the meter file that it was checked with
  readings BIGINT NOT NULL,
  digest BLOB NOT NULL,                  -- SHA-256 of the digest before, of this row and its readings
  PRIMARY KEY (point_id, version)
);

CREATE TABLE history_readings (
  point_id BIGINT NOT NULL,
  obis TEXT NOT NULL,
  start_s BIGINT NOT NULL,
  end_s BIGINT NOT NULL,                 -- a register is of an instant: its end is its start
  version INTEGER NOT NULL,
  value BIGINT NOT NULL,
  unit TEXT NOT NULL,                    -- Wh, varh or VAh
  quality TEXT NOT NULL CHECK (quality IN ('', 'A', 'V', 'S', 'M', 'E', 'N')),
  origin TEXT NOT NULL,                  -- 'imported', a method, or 'replaced': others tell its time since
  failed TEXT NOT NULL,                  -- checks that it failed, with a space between
  PRIMARY KEY (point_id, obis, start_s, end_s, version),
  FOREIGN KEY (point_id, version) REFERENCES history_versions (point_id, version),
  CHECK (end_s >= start_s)
);
CREATE INDEX history_readings_version ON history_readings (point_id, version);

-- Entries of the queue that are about these readings: none of them stands before a bill.
CREATE TABLE history_reviews (
  review BIGINT PRIMARY KEY REFERENCES vee_reviews (id)
);

CREATE TRIGGER history_versions_stay BEFORE UPDATE ON history_versions
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER history_versions_remain BEFORE DELETE ON history_versions
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER history_readings_stay BEFORE UPDATE ON history_readings
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER history_readings_remain BEFORE DELETE ON history_readings
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER history_reviews_stay BEFORE UPDATE ON history_reviews
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER history_reviews_remain BEFORE DELETE ON history_reviews
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
