-- PostgreSQL: the tables of validation only grow; TRUNCATE too is refused.

CREATE FUNCTION vee_append_only() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE EXCEPTION ''% is append-only'', TG_TABLE_NAME; END';

CREATE TRIGGER vee_raw_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON vee_raw
  FOR EACH STATEMENT EXECUTE FUNCTION vee_append_only();
CREATE TRIGGER vee_intervals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON vee_intervals
  FOR EACH STATEMENT EXECUTE FUNCTION vee_append_only();
CREATE TRIGGER vee_bill_intervals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON vee_bill_intervals
  FOR EACH STATEMENT EXECUTE FUNCTION vee_append_only();
CREATE TRIGGER vee_reviews_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON vee_reviews
  FOR EACH STATEMENT EXECUTE FUNCTION vee_append_only();
CREATE TRIGGER vee_review_steps_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON vee_review_steps
  FOR EACH STATEMENT EXECUTE FUNCTION vee_append_only();
