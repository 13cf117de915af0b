-- Closed days: everything booked between two closings, by the numbers of the journals' rows, which
-- only grow. What comes later for an earlier time is booked in the day that is open then. `digest` is
-- of the rows, `head` chains the days; totals are canonical CBOR [[currency, account, debit, credit]].

CREATE TABLE days (
  day INTEGER PRIMARY KEY,               -- days since 1970 of the date that it was closed as
  entry_id INTEGER NOT NULL,             -- last row of it in each journal
  posting_id INTEGER NOT NULL,
  closed_s INTEGER NOT NULL,
  totals BLOB NOT NULL,
  digest BLOB NOT NULL,
  head BLOB NOT NULL
);

CREATE TRIGGER days_stay BEFORE UPDATE ON days
  BEGIN SELECT RAISE(ABORT, 'closed days stay closed'); END;
CREATE TRIGGER days_remain BEFORE DELETE ON days
  BEGIN SELECT RAISE(ABORT, 'closed days stay closed'); END;
