-- Rewrites the journals, so their triggers are dropped and restored: an entry, its raw reading and
-- its posting become one row. There is no unique key to keep sorted, which is what made a store slow
-- as it grew; each row names the one before it of its point instead. The point's row names its last
-- one, is changed in the same transaction, and only while it names the one that was read: that is the
-- check for duplicates. What a point stands at is read from its last entry.

CREATE TABLE accounts (
  code INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
INSERT INTO accounts VALUES
  (1, 'customer prepaid'), (2, 'cash clearing'), (3, 'top-up in flight'), (4, 'energy revenue'),
  (5, 'fixed revenue'), (6, 'adjustments'), (7, 'debts of customers'), (8, 'suspense');

CREATE TABLE journal (
  id INTEGER PRIMARY KEY,
  before_id INTEGER NOT NULL,            -- the row before it of the same point; 0 for the first
  point_id INTEGER NOT NULL REFERENCES points (id),
  epoch INTEGER NOT NULL,
  from_s INTEGER NOT NULL,               -- instant of the register total before the entry
  arrived_s INTEGER NOT NULL,
  contra INTEGER NOT NULL,               -- account opposite to "customer prepaid"
  charged_ncur INTEGER NOT NULL,         -- running sums of the point, this entry included
  topups_ncur INTEGER NOT NULL,
  head BLOB NOT NULL,
  said_head BLOB,                        -- the module's own where its batch ended here with another
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  time_s INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  register_wh INTEGER NOT NULL,
  energy_wh INTEGER NOT NULL,
  version INTEGER NOT NULL,
  period INTEGER NOT NULL,
  used_wh INTEGER NOT NULL,
  amount_ncur INTEGER NOT NULL,          -- credit of the customer; negative: a debit
  number INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  balance_ncur INTEGER NOT NULL
);

CREATE INDEX readings_once ON readings (point_id, seq);
CREATE INDEX postings_once ON postings (point_id, number) WHERE source = 'entry';

INSERT INTO journal
  SELECT n.id, COALESCE(LAG(n.id) OVER (PARTITION BY n.point_id ORDER BY n.seq), 0),
    n.point_id, COALESCE(r.epoch, m.epoch, 1),
    COALESCE(r.from_s, MAX(CASE WHEN n.kind IN (1, 7) THEN n.time_s END) OVER (
      PARTITION BY n.point_id ORDER BY n.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0),
    COALESCE(r.arrived_s, n.time_s),
    COALESCE(a.code, CASE n.kind WHEN 1 THEN 4 WHEN 2 THEN 5 WHEN 3 THEN 3 WHEN 4 THEN 7
      WHEN 5 THEN 6 ELSE 8 END),
    -SUM(CASE WHEN n.kind IN (1, 2) THEN n.amount_ncur ELSE 0 END) OVER point,
    SUM(CASE WHEN n.kind = 3 THEN n.amount_ncur ELSE 0 END) OVER point,
    n.head, CASE WHEN p.said_seq = n.seq AND p.said_head <> n.head THEN p.said_head END, n.seq, n.kind, n.time_s, n.quality, n.register_wh, n.energy_wh, n.version, n.period,
    n.used_wh, n.amount_ncur, n.number, n.channel, n.balance_ncur
  FROM (SELECT ROW_NUMBER() OVER (ORDER BY time_s, point_id, seq) AS id, * FROM entries) n
  JOIN points p ON p.id = n.point_id
  JOIN modules m ON m.id = p.module
  LEFT JOIN readings r ON r.point_id = n.point_id AND r.seq = n.seq
  LEFT JOIN postings o ON o.point_id = n.point_id AND o.number = n.seq AND o.source = 'entry'
  LEFT JOIN accounts a
    ON a.name = CASE o.debit WHEN 'customer prepaid' THEN o.credit ELSE o.debit END
  WINDOW point AS (PARTITION BY n.point_id ORDER BY n.seq)
  ORDER BY n.id;

DROP VIEW legs;
DROP TRIGGER postings_remain;
DELETE FROM postings WHERE source = 'entry';
DROP INDEX postings_once;
DROP TABLE readings;
DROP TABLE entries;
ALTER TABLE journal RENAME TO entries;

ALTER TABLE points ADD COLUMN last_id INTEGER NOT NULL DEFAULT 0;
UPDATE points SET last_id = latest.id
  FROM (SELECT point_id, MAX(id) AS id FROM entries GROUP BY point_id) AS latest
  WHERE latest.point_id = points.id;

ALTER TABLE points DROP COLUMN seq;
ALTER TABLE points DROP COLUMN time_s;
ALTER TABLE points DROP COLUMN register_wh;
ALTER TABLE points DROP COLUMN balance_ncur;
ALTER TABLE points DROP COLUMN period;
ALTER TABLE points DROP COLUMN used_wh;
ALTER TABLE points DROP COLUMN version;
ALTER TABLE points DROP COLUMN charged_ncur;
ALTER TABLE points DROP COLUMN topups_ncur;
ALTER TABLE points DROP COLUMN head;
ALTER TABLE points DROP COLUMN said_seq;
ALTER TABLE points DROP COLUMN said_balance_ncur;
ALTER TABLE points DROP COLUMN said_head;

CREATE VIEW readings AS
  SELECT id, point_id, epoch, seq, from_s, time_s AS to_s, register_wh, energy_wh, quality,
    version, -amount_ncur AS charge_ncur, arrived_s
  FROM entries WHERE kind = 1;

-- Every transfer has two legs of one amount: an entry's are "customer prepaid" and its contra.
CREATE VIEW legs AS
  SELECT point_id, time_s, debit AS account, amount_ncur, currency, source, number FROM postings
  UNION ALL
  SELECT point_id, time_s, credit, -amount_ncur, currency, source, number FROM postings
  UNION ALL
  SELECT e.point_id, e.time_s, a.name, e.amount_ncur, p.currency, 'entry', e.seq
  FROM entries e JOIN points p ON p.id = e.point_id JOIN accounts a ON a.code = e.contra
  WHERE e.amount_ncur <> 0
  UNION ALL
  SELECT e.point_id, e.time_s, a.name, -e.amount_ncur, p.currency, 'entry', e.seq
  FROM entries e JOIN points p ON p.id = e.point_id JOIN accounts a ON a.code = 1
  WHERE e.amount_ncur <> 0;

-- Who settles a shard. A worker that was overtaken finds another generation and commits nothing.
CREATE TABLE leases (
  shard INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  generation INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  reader INTEGER NOT NULL                -- oldest generation that may have a reader at the broker
);

-- Raised with every change of points, tariffs and assignments, so that workers read them anew.
CREATE TABLE changes (
  what TEXT PRIMARY KEY,
  number INTEGER NOT NULL
);
INSERT INTO changes VALUES ('fleet', 0);

CREATE TRIGGER postings_remain BEFORE DELETE ON postings
  BEGIN SELECT RAISE(ABORT, 'postings are append-only'); END;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
