-- Who ordered a command and why, what took a command's place, and how far an update of a module is.

CREATE TABLE command_notes (
  module TEXT NOT NULL,
  id INTEGER NOT NULL,
  asked TEXT NOT NULL,                   -- what was asked for, as canonical JSON
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  reference TEXT UNIQUE,                 -- of the person's own: the same one is ordered once
  PRIMARY KEY (module, id)
);

CREATE TABLE withdrawals (
  module TEXT NOT NULL,
  id INTEGER NOT NULL,
  by_id INTEGER NOT NULL,                -- the later command in its place
  PRIMARY KEY (module, id)
);

CREATE TABLE bundles (
  digest BLOB PRIMARY KEY,
  version INTEGER NOT NULL,
  content BLOB NOT NULL,                 -- the bundle file
  stored_s INTEGER NOT NULL
);

CREATE TABLE rollouts (
  module TEXT NOT NULL REFERENCES modules (id),
  number INTEGER NOT NULL,               -- counts from 1 in its module
  digest BLOB NOT NULL REFERENCES bundles (digest),
  state TEXT NOT NULL CHECK (state IN ('sending', 'armed', 'refused', 'aborted')),
  command_id INTEGER NOT NULL,           -- the step under way, or the last one
  place INTEGER NOT NULL,                -- file number * 2^20 + offset of what comes next
  tries INTEGER NOT NULL,                -- answers that led no further
  events_seq INTEGER NOT NULL,           -- what the module told up to here is older
  expires_s INTEGER NOT NULL,
  PRIMARY KEY (module, number)
);
