-- SQLite: the tables of validation only grow.

CREATE TRIGGER vee_raw_stay BEFORE UPDATE ON vee_raw
  BEGIN SELECT RAISE(ABORT, 'vee_raw is append-only'); END;
CREATE TRIGGER vee_raw_remain BEFORE DELETE ON vee_raw
  BEGIN SELECT RAISE(ABORT, 'vee_raw is append-only'); END;
CREATE TRIGGER vee_intervals_stay BEFORE UPDATE ON vee_intervals
  BEGIN SELECT RAISE(ABORT, 'vee_intervals is append-only'); END;
CREATE TRIGGER vee_intervals_remain BEFORE DELETE ON vee_intervals
  BEGIN SELECT RAISE(ABORT, 'vee_intervals is append-only'); END;
CREATE TRIGGER vee_bill_intervals_stay BEFORE UPDATE ON vee_bill_intervals
  BEGIN SELECT RAISE(ABORT, 'vee_bill_intervals is append-only'); END;
CREATE TRIGGER vee_bill_intervals_remain BEFORE DELETE ON vee_bill_intervals
  BEGIN SELECT RAISE(ABORT, 'vee_bill_intervals is append-only'); END;
CREATE TRIGGER vee_reviews_stay BEFORE UPDATE ON vee_reviews
  BEGIN SELECT RAISE(ABORT, 'vee_reviews is append-only'); END;
CREATE TRIGGER vee_reviews_remain BEFORE DELETE ON vee_reviews
  BEGIN SELECT RAISE(ABORT, 'vee_reviews is append-only'); END;
CREATE TRIGGER vee_review_steps_stay BEFORE UPDATE ON vee_review_steps
  BEGIN SELECT RAISE(ABORT, 'vee_review_steps is append-only'); END;
CREATE TRIGGER vee_review_steps_remain BEFORE DELETE ON vee_review_steps
  BEGIN SELECT RAISE(ABORT, 'vee_review_steps is append-only'); END;
