-- The whole of the first version. Records are JSON; beside them stand only the columns that something searches by,
-- so that `sqlite3 kassir.db` answers questions without Kassir. Ids are text as people see them; times are Unix
-- milliseconds. A record is the last column: rows that a search passes over are then not read in full.

-- `fence`: the number of the last lease. `ready`: when a durable write was last tried.
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counter VALUES ('fence', 0), ('ready', 0);

CREATE TABLE merchant (
  id            TEXT PRIMARY KEY,
  version       INTEGER NOT NULL,
  first_payment INTEGER NOT NULL,
  last_payment  INTEGER NOT NULL,
  record        TEXT NOT NULL
);

-- Merchants that were deleted and whose records still have to go.
CREATE TABLE gone (
  merchant TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE integration (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);

CREATE TABLE inbound_token (
  hash        TEXT PRIMARY KEY,
  merchant    TEXT NOT NULL,
  integration TEXT NOT NULL,
  expires_at  INTEGER
) WITHOUT ROWID;
CREATE INDEX inbound_token_of ON inbound_token (merchant, integration);

CREATE TABLE endpoint (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);

-- Endpoints that fail: since when, how, and how far their owners were told. One that takes its events has no row.
CREATE TABLE health (
  merchant        TEXT NOT NULL,
  endpoint        TEXT NOT NULL,
  failing_since   INTEGER NOT NULL,
  last_failure_at INTEGER NOT NULL,
  last_status     INTEGER,
  last_error      TEXT NOT NULL,
  told            INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (merchant, endpoint)
) WITHOUT ROWID;

CREATE TABLE api_token (
  id       TEXT PRIMARY KEY,
  hash     TEXT NOT NULL UNIQUE,
  merchant TEXT,
  record   TEXT NOT NULL
);

CREATE TABLE payment (
  merchant    TEXT NOT NULL,
  number      INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  integration TEXT NOT NULL,
  provider    TEXT NOT NULL,
  state       TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  record      TEXT NOT NULL,
  PRIMARY KEY (merchant, number)
);
CREATE INDEX payment_by_integration ON payment (merchant, integration, number);
-- Most payments are paid in the end: those are found by their number.
CREATE INDEX payment_by_state ON payment (merchant, state, number) WHERE state <> 'succeeded';
CREATE INDEX payment_by_age ON payment (updated_at);

-- Providers' ids that find a payment.
CREATE TABLE payment_link (
  merchant    TEXT NOT NULL,
  integration TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  number      INTEGER NOT NULL,
  PRIMARY KEY (merchant, integration, provider_id)
) WITHOUT ROWID;
CREATE INDEX payment_link_of ON payment_link (merchant, number);

CREATE TABLE event (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  integration TEXT NOT NULL,
  payment     INTEGER NOT NULL,
  state       TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  record      TEXT NOT NULL,
  tail        TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
CREATE INDEX event_by_payment ON event (merchant, payment, id);
CREATE INDEX event_by_age ON event (created_at);

CREATE TABLE delivery (
  merchant   TEXT NOT NULL,
  id         TEXT NOT NULL,
  version    INTEGER NOT NULL,
  event      TEXT NOT NULL,
  payment    INTEGER NOT NULL,
  endpoint   TEXT NOT NULL,
  provider   TEXT NOT NULL,
  state      TEXT NOT NULL,
  status     TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  record     TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
CREATE INDEX delivery_by_payment ON delivery (merchant, payment, id);
-- Nearly all are delivered in the end: those are found by their id.
CREATE INDEX delivery_by_status ON delivery (merchant, status, id) WHERE status <> 'delivered';
CREATE INDEX delivery_by_endpoint ON delivery (merchant, endpoint, id);

CREATE TABLE attempt (
  merchant TEXT NOT NULL,
  delivery TEXT NOT NULL,
  number   INTEGER NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, delivery, number)
) WITHOUT ROWID;

CREATE TABLE notification (
  merchant    TEXT NOT NULL,
  id          TEXT NOT NULL,
  integration TEXT NOT NULL,
  provider    TEXT NOT NULL,
  outcome     TEXT NOT NULL,
  payment     INTEGER,
  received_at INTEGER NOT NULL,
  record      TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
CREATE INDEX notification_by_payment ON notification (merchant, payment, id) WHERE payment IS NOT NULL;
-- Most are accepted: those are found by their id.
CREATE INDEX notification_by_outcome ON notification (merchant, outcome, id) WHERE outcome <> 'accepted';
CREATE INDEX notification_by_age ON notification (received_at) WHERE outcome NOT IN ('rejected', 'duplicate');
CREATE INDEX notification_refused_by_age ON notification (received_at) WHERE outcome IN ('rejected', 'duplicate');

-- Everything that must happen later. An entry waits (`lease_until` is null) or is leased; `due` is null only while
-- it is leased and leaves the queue with its lease. `token` is the lease's number, 0 when there is none. A delivery
-- has its record in its own table, a job here; `refers` is the notification that a job
-- still needs, or the payment that it is about: merchant/number.
CREATE TABLE queue (
  work        TEXT PRIMARY KEY,
  merchant    TEXT NOT NULL,
  lane        TEXT NOT NULL,
  due         INTEGER,
  lease_until INTEGER,
  token       INTEGER NOT NULL DEFAULT 0,
  owner       TEXT,
  refers      TEXT,
  job         TEXT
) WITHOUT ROWID;
CREATE INDEX queue_waiting ON queue (lane, due) WHERE lease_until IS NULL;
CREATE INDEX queue_leased ON queue (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX queue_refers ON queue (refers) WHERE refers IS NOT NULL;

-- Lanes in which something waits: the due time of their first entry, and their place in the row of those whose turn
-- it is (null: nothing was due when somebody last looked).
CREATE TABLE lane (
  lane TEXT PRIMARY KEY,
  due  INTEGER NOT NULL,
  turn INTEGER
) WITHOUT ROWID;
CREATE INDEX lane_by_due ON lane (due);
CREATE INDEX lane_by_turn ON lane (turn, due) WHERE turn IS NOT NULL;
CREATE INDEX lane_idle ON lane (due) WHERE turn IS NULL;

-- Lanes that are held: none of them is in `lane`. `step` is the router's count of holds in a row; `due` is when the next
-- entry may be tried (the later of `until` and its due time), null while none waits; `tried_until` is the end of the
-- lease of what was tried last.
CREATE TABLE hold (
  lane        TEXT PRIMARY KEY,
  until       INTEGER NOT NULL,
  step        INTEGER NOT NULL,
  since       INTEGER NOT NULL,
  tried_until INTEGER,
  due         INTEGER
) WITHOUT ROWID;
CREATE INDEX hold_by_due ON hold (due) WHERE due IS NOT NULL;
CREATE INDEX hold_left ON hold (until) WHERE due IS NULL;

CREATE TABLE tally (
  merchant TEXT NOT NULL,
  hour     INTEGER NOT NULL,
  key      TEXT NOT NULL,
  value    INTEGER NOT NULL,
  PRIMARY KEY (merchant, hour, key)
) WITHOUT ROWID;
CREATE INDEX tally_by_age ON tally (hour);

CREATE TABLE replay (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  version  INTEGER NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);

CREATE INDEX replay_by_age ON replay (json_extract(record, '$.updated_at'))
  WHERE json_extract(record, '$.status') <> 'running';

-- `merchant` is empty for the router's own entries.
CREATE TABLE audit (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  id       TEXT NOT NULL UNIQUE,
  merchant TEXT NOT NULL,
  hash     TEXT NOT NULL,
  record   TEXT NOT NULL
);
CREATE INDEX audit_chain ON audit (merchant, seq);
CREATE INDEX audit_list ON audit (merchant, id);

-- `status` is null while the first request is under way; then `body` is what it noted, if it noted anything. `hold` is
-- who may note and answer: another each time that the key is taken.
CREATE TABLE idempotency (
  scope       TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  hold        TEXT NOT NULL,
  held_until  INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  status      INTEGER,
  body        TEXT,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_by_age ON idempotency (at);
