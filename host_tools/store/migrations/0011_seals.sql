-- Seals of what prices are worked out from and no other row tells: SHA-256 over the row, what belongs to
-- it, and the one before it of the same point. Rows from before this have none of their own: the first
-- seal after them is over them, too.

ALTER TABLE vee_versions ADD COLUMN seal BLOB;

ALTER TABLE contracts ADD COLUMN number INTEGER;
ALTER TABLE contracts ADD COLUMN seal BLOB;
