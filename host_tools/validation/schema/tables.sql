-- Validation: raw rows as they came, every version of every interval, the review queue, what each bill used.
-- All tables only grow; append_only_sqlite.sql and append_only_postgres.sql hold that. The same statements
-- run on SQLite and PostgreSQL. Energy is Wh, time Unix seconds UTC; points are named as in the exports.

CREATE TABLE vee_raw (
  point TEXT NOT NULL,
  device TEXT NOT NULL,
  meter TEXT NOT NULL,
  obis TEXT NOT NULL,
  time_s BIGINT NOT NULL,                 -- by the meter's clock
  seq BIGINT NOT NULL,
  value BIGINT NOT NULL,
  scale INTEGER NOT NULL,                 -- power of ten of the value
  arrived_s BIGINT NOT NULL,
  status INTEGER NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('pulse', 'modbus', 'manual', 'import')),
  -- the value is part of the key: two rows that contradict one another are both kept
  PRIMARY KEY (point, meter, obis, time_s, seq, value)
);

CREATE TABLE vee_intervals (
  point TEXT NOT NULL,
  obis TEXT NOT NULL,
  start_s BIGINT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  end_s BIGINT NOT NULL,
  energy_wh BIGINT NOT NULL,
  quality TEXT NOT NULL CHECK (quality IN ('A', 'V', 'S', 'M', 'E', 'N')),
  origin TEXT NOT NULL,                   -- the source, or the method with its inputs
  failed TEXT NOT NULL,                   -- checks that it failed, with a space between
  who TEXT NOT NULL CHECK (who <> ''),    -- 'validation', or a person
  at_s BIGINT NOT NULL,
  why TEXT NOT NULL CHECK (why <> ''),
  PRIMARY KEY (point, obis, start_s, version),
  CHECK (end_s > start_s)
);

-- The version that stands. The value before an edit is the version before it.
CREATE VIEW vee_current AS
  SELECT * FROM vee_intervals AS one
  WHERE version = (
    SELECT MAX(version) FROM vee_intervals AS other
    WHERE other.point = one.point AND other.obis = one.obis AND other.start_s = one.start_s
  );

CREATE TABLE vee_bill_intervals (
  bill TEXT NOT NULL,
  point TEXT NOT NULL,
  obis TEXT NOT NULL,
  start_s BIGINT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (bill, point, obis, start_s),
  FOREIGN KEY (point, obis, start_s, version)
    REFERENCES vee_intervals (point, obis, start_s, version)
);
CREATE INDEX vee_bill_intervals_used ON vee_bill_intervals (point, obis, start_s);

CREATE TABLE vee_reviews (
  id BIGINT PRIMARY KEY,
  point TEXT NOT NULL,
  obis TEXT NOT NULL,
  code TEXT NOT NULL,                     -- V01 to V22, or S45 for a customer's dispute
  start_s BIGINT NOT NULL,
  end_s BIGINT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL,
  opened_s BIGINT NOT NULL,
  UNIQUE (point, obis, code, start_s, end_s, detail)
);

CREATE TABLE vee_review_steps (
  review BIGINT NOT NULL REFERENCES vee_reviews (id),
  step INTEGER NOT NULL CHECK (step > 0),
  event TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'corrected', 'rejected')),
  who TEXT NOT NULL CHECK (who <> ''),
  at_s BIGINT NOT NULL,
  why TEXT NOT NULL CHECK (why <> ''),
  PRIMARY KEY (review, step)
);

CREATE VIEW vee_queue AS
  SELECT reviews.*, steps.step, steps.state, steps.who, steps.at_s, steps.why
  FROM vee_reviews AS reviews
  JOIN vee_review_steps AS steps ON steps.review = reviews.id
  WHERE steps.step = (SELECT MAX(step) FROM vee_review_steps AS other WHERE other.review = reviews.id);
