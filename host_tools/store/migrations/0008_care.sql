-- The care of modules: what took over from what, what was moved with it, keys that are exchanged,
-- modules that are retired, and updates of many modules in waves.

INSERT INTO accounts VALUES (31, 'transfer between modules'), (32, 'write-offs');

ALTER TABLE modules ADD COLUMN retired_s BIGINT;

-- A service point that a new module took over. Amounts are what has been booked so far.
CREATE TABLE replacements (
  old_point BIGINT PRIMARY KEY REFERENCES points (id),
  new_point BIGINT NOT NULL UNIQUE REFERENCES points (id),
  old_end_wh BIGINT,                     -- what the old meter showed at its end; NULL: the meter stayed
  new_start_wh BIGINT,                   -- what the new meter showed when it was put in
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  began_s BIGINT NOT NULL,
  ended_s BIGINT,                        -- nothing of the old module counts any more
  out_ncur BIGINT NOT NULL DEFAULT 0,    -- of the old point's balance
  energy_ncur BIGINT NOT NULL DEFAULT 0, -- corrections of energy and of fixed charges; credits of the customer
  fixed_ncur BIGINT NOT NULL DEFAULT 0,
  debts BLOB NOT NULL,                   -- what was left of each debt when it was last ordered; canonical CBOR
  old_seq BIGINT NOT NULL DEFAULT -1,    -- of the last look
  new_seq BIGINT NOT NULL DEFAULT -1,
  quiet INTEGER NOT NULL DEFAULT 0,      -- 1: the new module charges as it should, until the old one tells more
  held TEXT NOT NULL DEFAULT '',         -- what a person has to decide
  looks BIGINT NOT NULL DEFAULT 0        -- counts changes of this row: nobody changes what another has since
);

-- A payment that went from the old module to the new one; credited_seq where the old one took it all the same.
CREATE TABLE moved_topups (
  old_point BIGINT NOT NULL REFERENCES points (id),
  generation BIGINT NOT NULL,
  number BIGINT NOT NULL,
  new_point BIGINT NOT NULL REFERENCES points (id),
  new_generation BIGINT NOT NULL,
  new_number BIGINT NOT NULL,
  amount_ncur BIGINT NOT NULL CHECK (amount_ncur > 0),
  moved_s BIGINT NOT NULL,
  credited_seq BIGINT,
  PRIMARY KEY (old_point, generation, number)
);

-- What was left on a point's account when its module was retired.
CREATE TABLE closed_points (
  point_id BIGINT PRIMARY KEY REFERENCES points (id),
  out_ncur BIGINT NOT NULL,
  account TEXT NOT NULL,                 -- where it went
  class TEXT NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  closed_s BIGINT NOT NULL
);

-- A new root key on its way; it follows from the present one and the salt. The check tells when it is in use.
CREATE TABLE key_rotations (
  module TEXT NOT NULL REFERENCES modules (id),
  number INTEGER NOT NULL,
  salt BLOB NOT NULL,
  new_check BLOB NOT NULL,
  command_id BIGINT NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  began_s BIGINT NOT NULL,
  PRIMARY KEY (module, number)
);

CREATE TABLE campaigns (
  number INTEGER PRIMARY KEY,
  digest BLOB NOT NULL REFERENCES bundles (digest),
  canary INTEGER NOT NULL,               -- modules of the first wave
  waves TEXT NOT NULL,                   -- percent of all modules, such as 10,50,100
  halt_failures INTEGER NOT NULL,        -- so many failures halt it
  state TEXT NOT NULL CHECK (state IN ('running', 'halted', 'done')),
  reason TEXT NOT NULL,                  -- why it is halted
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  began_s BIGINT NOT NULL,
  changed_s BIGINT NOT NULL
);

CREATE TABLE campaign_modules (
  campaign INTEGER NOT NULL REFERENCES campaigns (number),
  module TEXT NOT NULL REFERENCES modules (id),
  place INTEGER NOT NULL,                -- order of the modules
  wave INTEGER NOT NULL,                 -- 0 is the canary
  state TEXT NOT NULL,                   -- waiting, sending, trial, confirmed, failed
  rollout INTEGER NOT NULL,              -- of the module, 0 before it began
  reason TEXT NOT NULL,
  since_s BIGINT NOT NULL,
  PRIMARY KEY (campaign, module)
);
