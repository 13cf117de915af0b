-- Validation behind settlement. Version 0 of a reading is the journal's own row; a row here is what
-- validation, or a person, made of it: nothing is copied that is as it was metered. One number counts
-- the versions of all readings of a point, so a bill or an order that names it names every value.

CREATE TABLE vee_marks (
  point_id BIGINT PRIMARY KEY REFERENCES points (id),
  seq BIGINT NOT NULL,                   -- journal entries up to here are validated
  day_seq BIGINT NOT NULL                -- the first entry of the local day that goes on
);

-- What is on file of a metering point: the text of a meter file; the last one stands.
CREATE TABLE vee_meters (
  point_id BIGINT NOT NULL REFERENCES points (id),
  number INTEGER NOT NULL CHECK (number > 0),
  document TEXT NOT NULL,
  who TEXT NOT NULL CHECK (who <> ''),
  at_s BIGINT NOT NULL,
  PRIMARY KEY (point_id, number)
);

CREATE TABLE vee_versions (
  point_id BIGINT NOT NULL REFERENCES points (id),
  version INTEGER NOT NULL CHECK (version > 0),
  rule TEXT NOT NULL,                    -- V01 to V22, S45, or what else brought it
  who TEXT NOT NULL CHECK (who <> ''),   -- 'validation', or a person
  why TEXT NOT NULL CHECK (why <> ''),
  at_s BIGINT NOT NULL,
  PRIMARY KEY (point_id, version)
);

CREATE TABLE vee_readings (
  point_id BIGINT NOT NULL,
  seq BIGINT NOT NULL,                   -- of the charge in the journal
  version INTEGER NOT NULL,
  start_s BIGINT NOT NULL,               -- other than metered where the clock was wrong
  end_s BIGINT NOT NULL,
  energy_wh BIGINT NOT NULL CHECK (energy_wh >= 0),
  quality TEXT NOT NULL CHECK (quality IN ('A', 'V', 'S', 'M', 'E', 'N')),
  tariff BIGINT,                         -- version that it should have been priced by; NULL: as it was
  origin TEXT NOT NULL,                  -- the journal, or the method
  failed TEXT NOT NULL,                  -- checks that it failed, with a space between
  PRIMARY KEY (point_id, seq, version),
  FOREIGN KEY (point_id, version) REFERENCES vee_versions (point_id, version),
  CHECK (end_s >= start_s)
);

CREATE TABLE vee_reviews (
  id INTEGER PRIMARY KEY,
  point_id BIGINT NOT NULL REFERENCES points (id),
  code TEXT NOT NULL,
  start_s BIGINT NOT NULL,
  end_s BIGINT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL,
  opened_s BIGINT NOT NULL,
  UNIQUE (point_id, code, start_s, end_s, detail)
);

CREATE TABLE vee_review_steps (
  review BIGINT NOT NULL REFERENCES vee_reviews (id),
  step INTEGER NOT NULL CHECK (step > 0),
  event TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'corrected', 'estimated')),
  who TEXT NOT NULL CHECK (who <> ''),
  at_s BIGINT NOT NULL,
  why TEXT NOT NULL CHECK (why <> ''),
  PRIMARY KEY (review, step)
);

CREATE VIEW vee_queue AS
  SELECT r.id, r.point_id, r.code, r.start_s, r.end_s, r.action, r.detail, r.opened_s, s.step,
    s.state, s.who, s.at_s, s.why
  FROM vee_reviews r
  JOIN vee_review_steps s ON s.review = r.id
  WHERE s.step = (SELECT MAX(o.step) FROM vee_review_steps o WHERE o.review = r.id);

-- The adjustments that corrected readings, a corrected clock or a late tariff have cost, each with the
-- command that carries it. `owed_ncur` is what all corrections of the point come to by then.
CREATE TABLE vee_adjustments (
  point_id BIGINT NOT NULL REFERENCES points (id),
  number INTEGER NOT NULL CHECK (number > 0),
  command_id BIGINT NOT NULL,
  version INTEGER NOT NULL,              -- of the readings
  tariffs TEXT NOT NULL,                 -- versions that priced them, with a space between
  rule TEXT NOT NULL,
  first_seq BIGINT NOT NULL,
  from_s BIGINT NOT NULL,
  to_s BIGINT NOT NULL,
  charges BIGINT NOT NULL,
  energy_wh BIGINT NOT NULL,
  owed_ncur BIGINT NOT NULL,
  amount_ncur BIGINT NOT NULL,
  at_s BIGINT NOT NULL,
  PRIMARY KEY (point_id, number)
);

-- Each local day of a point once it is over: module against host, and what validation says of it. A
-- day that is looked at again gets one more row; the last one stands.
CREATE TABLE vee_days (
  point_id BIGINT NOT NULL REFERENCES points (id),
  day BIGINT NOT NULL,                   -- days since 1970 by the point's own clock
  revision INTEGER NOT NULL CHECK (revision > 0),
  first_seq BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  intervals BIGINT NOT NULL,
  energy_wh BIGINT NOT NULL,
  charged_ncur BIGINT NOT NULL,
  balance_ncur BIGINT NOT NULL,          -- at its end, by the host's ledger
  agreed INTEGER NOT NULL,               -- 1: chain heads and statements of the module say the same
  quality TEXT NOT NULL,                 -- the worst
  failed TEXT NOT NULL,
  not_run TEXT NOT NULL,                 -- checks without their input: they did not pass
  late BIGINT NOT NULL,                  -- readings that came an hour or more after their interval
  split BIGINT NOT NULL,                 -- intervals longer than their step: the split is estimated
  no_clock BIGINT NOT NULL,              -- intervals of an invalid clock
  version INTEGER NOT NULL,              -- of the readings
  at_s BIGINT NOT NULL,
  PRIMARY KEY (point_id, day, revision)
);

-- What closed a difference: an adjustment, a later agreement, or a person.
CREATE TABLE difference_closings (
  difference_id BIGINT PRIMARY KEY,
  who TEXT NOT NULL CHECK (who <> ''),
  why TEXT NOT NULL CHECK (why <> ''),
  at_s BIGINT NOT NULL
);

CREATE TRIGGER vee_versions_stay BEFORE UPDATE ON vee_versions
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER vee_versions_remain BEFORE DELETE ON vee_versions
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER vee_readings_stay BEFORE UPDATE ON vee_readings
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER vee_readings_remain BEFORE DELETE ON vee_readings
  BEGIN SELECT RAISE(ABORT, 'versions of readings are append-only'); END;
CREATE TRIGGER vee_reviews_stay BEFORE UPDATE ON vee_reviews
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER vee_reviews_remain BEFORE DELETE ON vee_reviews
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER vee_review_steps_stay BEFORE UPDATE ON vee_review_steps
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER vee_review_steps_remain BEFORE DELETE ON vee_review_steps
  BEGIN SELECT RAISE(ABORT, 'reviews are append-only'); END;
CREATE TRIGGER vee_adjustments_stay BEFORE UPDATE ON vee_adjustments
  BEGIN SELECT RAISE(ABORT, 'adjustments are append-only'); END;
CREATE TRIGGER vee_adjustments_remain BEFORE DELETE ON vee_adjustments
  BEGIN SELECT RAISE(ABORT, 'adjustments are append-only'); END;
CREATE TRIGGER vee_days_stay BEFORE UPDATE ON vee_days
  BEGIN SELECT RAISE(ABORT, 'days of points are append-only'); END;
CREATE TRIGGER vee_days_remain BEFORE DELETE ON vee_days
  BEGIN SELECT RAISE(ABORT, 'days of points are append-only'); END;
CREATE TRIGGER difference_closings_stay BEFORE UPDATE ON difference_closings
  BEGIN SELECT RAISE(ABORT, 'closings are append-only'); END;
CREATE TRIGGER difference_closings_remain BEFORE DELETE ON difference_closings
  BEGIN SELECT RAISE(ABORT, 'closings are append-only'); END;
