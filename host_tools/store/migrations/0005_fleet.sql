-- For a fleet on PostgreSQL: the journal in one part a month of arrival, and numbers of its rows for
-- many workers at once. A row number is (months since 1970) * 2^40 + a count (host_tools/store/sql/
-- months.py), so that a number tells its part. What has no part of its own goes to entries_other. A row
-- has no foreign key: the change of its point's row in the same transaction says as much, and is cheaper.

-- only postgresql
CREATE TABLE journal (LIKE entries INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
-- only postgresql
CREATE TABLE entries_other PARTITION OF journal DEFAULT;
-- only postgresql
INSERT INTO journal SELECT * FROM entries;
-- only postgresql
DROP VIEW readings;
-- only postgresql
DROP VIEW legs;
-- only postgresql
DROP TABLE entries;
-- only postgresql
ALTER TABLE journal RENAME TO entries;
-- only postgresql
CREATE VIEW readings AS
  SELECT id, point_id, epoch, seq, from_s, time_s AS to_s, register_wh, energy_wh, quality,
    version, -amount_ncur AS charge_ncur, arrived_s
  FROM entries WHERE kind = 1;
-- only postgresql
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
-- only postgresql
CREATE OR REPLACE TRIGGER entries_stay BEFORE UPDATE OR DELETE ON entries
  FOR EACH ROW EXECUTE FUNCTION refused('entries are append-only');
-- only postgresql
CREATE OR REPLACE TRIGGER entries_remain BEFORE TRUNCATE ON entries
  FOR EACH STATEMENT EXECUTE FUNCTION refused('entries are append-only');

-- only postgresql
CREATE SEQUENCE numbers_of_entries AS BIGINT MINVALUE 1;
-- only postgresql
SELECT setval('numbers_of_entries', (SELECT COALESCE(MAX(id), 0) + 1 FROM entries));
-- only postgresql
CREATE FUNCTION entry_numbers(lowest BIGINT, wanted BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS '
  -- The first of so many numbers that nobody else will use, above all given out before.
  DECLARE first BIGINT;
  BEGIN
    PERFORM pg_advisory_xact_lock(26980, 2);
    SELECT GREATEST(last_value, lowest) INTO first FROM numbers_of_entries;
    PERFORM setval(''numbers_of_entries'', first + wanted);
    RETURN first;
  END';

-- only postgresql
ALTER TABLE points SET (fillfactor = 50);
-- only postgresql
ALTER TABLE leases SET (fillfactor = 10);
