-- A store of schema 1 with work in flight, as the first version wrote it. Never changed: the versions after it must open it.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counter VALUES('fence',2);
INSERT INTO counter VALUES('ready',0);
CREATE TABLE merchant (
  id            TEXT PRIMARY KEY,
  version       INTEGER NOT NULL,
  first_payment INTEGER NOT NULL,
  last_payment  INTEGER NOT NULL,
  record        TEXT NOT NULL
);
INSERT INTO merchant VALUES('mer_01kdvdna00e008000000000001',3,100,101,'{"id":"mer_01kdvdna00e008000000000001","name":"Лавка","first_payment":100,"created_at":1767225600000}');
CREATE TABLE gone (
  merchant TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE integration (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
INSERT INTO integration VALUES('mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002','{"id":"int_01kdvdna00e008000000000002","merchant":"mer_01kdvdna00e008000000000001","provider":"yookassa","name":"Shop","event_provider":"yandex_kassa","credentials":{"shop_id":{"sealed":"c2VhbGVk","hint":"100500"}},"settings":{"confirm":"when_unproven","amount_check":"equal","manual_capture":false},"tokens":[{"hash":"ab12","sealed":"dG9rZW4=","expires_at":null}],"created_at":1767225600000,"updated_at":1767225600000}');
CREATE TABLE inbound_token (
  hash        TEXT PRIMARY KEY,
  merchant    TEXT NOT NULL,
  integration TEXT NOT NULL,
  expires_at  INTEGER
) WITHOUT ROWID;
INSERT INTO inbound_token VALUES('ab12','mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002',NULL);
CREATE TABLE endpoint (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
INSERT INTO endpoint VALUES('mer_01kdvdna00e008000000000001','ep_01kdvdna00e008000000000003','{"id":"ep_01kdvdna00e008000000000003","merchant":"mer_01kdvdna00e008000000000001","url":"https://bot.example/hook","description":"","states":["pending","waiting_for_capture","succeeded","canceled"],"providers":[],"integrations":[],"headers":{},"success":"200","timeout_s":null,"rate_per_s":null,"max_in_flight":null,"ordered":false,"enabled":true,"disabled_reason":null,"secrets":[{"sealed":"c2VjcmV0","created_at":1767225600000,"expires_at":null}],"created_at":1767225600000,"updated_at":1767225600000}');
CREATE TABLE api_token (
  id       TEXT PRIMARY KEY,
  hash     TEXT NOT NULL UNIQUE,
  merchant TEXT,
  record   TEXT NOT NULL
);
INSERT INTO api_token VALUES('tok_01kdvdna00e008000000000004','cd34',NULL,'{"id":"tok_01kdvdna00e008000000000004","hash":"cd34","prefix":"ksr_ab","name":"bot","role":"admin","merchant":null,"created_at":1767225600000}');
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
INSERT INTO payment VALUES('mer_01kdvdna00e008000000000001',100,1,'int_01kdvdna00e008000000000002','yookassa','succeeded',1767225600000,1767225600000,'{"number":100,"version":1,"merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","origin":"notification","state":"succeeded","expired_by_us":false,"amount":{"minor":90000,"currency":"RUB"},"captured":null,"refunds":[],"provider_id":"p-1","reference":null,"operation_key":null,"saved_method":null,"method":null,"pay_url":null,"hold":false,"test":false,"description":"","order":[],"contact":null,"email":null,"return_url":null,"metadata":{},"reason":null,"expires_at":null,"created_at":1767225600000,"updated_at":1767225600000}');
INSERT INTO payment VALUES('mer_01kdvdna00e008000000000001',101,1,'int_01kdvdna00e008000000000002','yookassa','succeeded',1767225600000,1767225600000,'{"number":101,"version":1,"merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","origin":"notification","state":"succeeded","expired_by_us":false,"amount":{"minor":90000,"currency":"RUB"},"captured":null,"refunds":[],"provider_id":"p-2","reference":null,"operation_key":null,"saved_method":null,"method":null,"pay_url":null,"hold":false,"test":false,"description":"","order":[],"contact":null,"email":null,"return_url":null,"metadata":{},"reason":null,"expires_at":null,"created_at":1767225600000,"updated_at":1767225600000}');
CREATE TABLE payment_link (
  merchant    TEXT NOT NULL,
  integration TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  number      INTEGER NOT NULL,
  PRIMARY KEY (merchant, integration, provider_id)
) WITHOUT ROWID;
INSERT INTO payment_link VALUES('mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002','p-1',100);
INSERT INTO payment_link VALUES('mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002','p-2',101);
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
INSERT INTO event VALUES('mer_01kdvdna00e008000000000001','evt_01kdvdna00e008000000000005','int_01kdvdna00e008000000000002',100,'succeeded',1767225600000,'{"id":"evt_01kdvdna00e008000000000005","merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","payment":100,"state":"succeeded","proven":"signed","test":false,"notification":null,"created_at":1767225600000,"tail":""}',',"amount":900.00,"name":"Ж"}');
INSERT INTO event VALUES('mer_01kdvdna00e008000000000001','evt_01kdvdna00e008000000000009','int_01kdvdna00e008000000000002',101,'succeeded',1767225600000,'{"id":"evt_01kdvdna00e008000000000009","merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","payment":101,"state":"succeeded","proven":"signed","test":false,"notification":null,"created_at":1767225600000,"tail":""}',',"amount":900.00,"name":"Ж"}');
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
INSERT INTO delivery VALUES('mer_01kdvdna00e008000000000001','dlv_01kdvdna00e008000000000006',2,'evt_01kdvdna00e008000000000005',100,'ep_01kdvdna00e008000000000003','yookassa','succeeded','pending',1767225600000,'{"id":"dlv_01kdvdna00e008000000000006","version":2,"merchant":"mer_01kdvdna00e008000000000001","payment":100,"event":"evt_01kdvdna00e008000000000005","state":"succeeded","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","endpoint":"ep_01kdvdna00e008000000000003","status":"pending","attempts":1,"round":1,"round_started_at":1767225600000,"next_attempt_at":1767225605000,"resume_at":null,"replay":null,"replayed_by":null,"last_status":500,"last_error":null,"created_at":1767225600000,"updated_at":1767225600000}');
INSERT INTO delivery VALUES('mer_01kdvdna00e008000000000001','dlv_01kdvdna00e00800000000000a',1,'evt_01kdvdna00e008000000000009',101,'ep_01kdvdna00e008000000000003','yookassa','succeeded','pending',1767225600000,'{"id":"dlv_01kdvdna00e00800000000000a","version":1,"merchant":"mer_01kdvdna00e008000000000001","payment":101,"event":"evt_01kdvdna00e008000000000009","state":"succeeded","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","endpoint":"ep_01kdvdna00e008000000000003","status":"pending","attempts":0,"round":0,"round_started_at":1767225600000,"next_attempt_at":1767225600000,"resume_at":null,"replay":null,"replayed_by":null,"last_status":null,"last_error":null,"created_at":1767225600000,"updated_at":1767225600000}');
CREATE TABLE attempt (
  merchant TEXT NOT NULL,
  delivery TEXT NOT NULL,
  number   INTEGER NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, delivery, number)
) WITHOUT ROWID;
INSERT INTO attempt VALUES('mer_01kdvdna00e008000000000001','dlv_01kdvdna00e008000000000006',1,'{"number":1,"at":1767225600000,"duration_ms":12,"status":500,"error":"status 500","response_excerpt":null,"remote_ip":null,"replay":false}');
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
INSERT INTO notification VALUES('mer_01kdvdna00e008000000000001','ntf_01kdvdna00e008000000000007','int_01kdvdna00e008000000000002','yookassa','accepted',100,1767225600000,'{"id":"ntf_01kdvdna00e008000000000007","merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","kind":null,"outcome":"accepted","reason":"","diagnosis":null,"warnings":[],"proof":"signed","payment":100,"event":"evt_01kdvdna00e008000000000005","answer":{"status":200,"body":"ok"},"peer":null,"method":"POST","query":"","headers":[],"body":"{\"amount\":900.00}","body_is_base64":false,"received_at":1767225600000}');
INSERT INTO notification VALUES('mer_01kdvdna00e008000000000001','ntf_01kdvdna00e00800000000000b','int_01kdvdna00e008000000000002','yookassa','accepted',101,1767225600000,'{"id":"ntf_01kdvdna00e00800000000000b","merchant":"mer_01kdvdna00e008000000000001","integration":"int_01kdvdna00e008000000000002","provider":"yookassa","kind":null,"outcome":"accepted","reason":"","diagnosis":null,"warnings":[],"proof":"signed","payment":101,"event":"evt_01kdvdna00e008000000000009","answer":{"status":200,"body":"ok"},"peer":null,"method":"POST","query":"","headers":[],"body":"{\"amount\":900.00}","body_is_base64":false,"received_at":1767225600000}');
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
INSERT INTO queue VALUES('dlv_01kdvdna00e008000000000006','mer_01kdvdna00e008000000000001','ep_01kdvdna00e008000000000003',1767225605000,NULL,0,NULL,NULL,NULL);
INSERT INTO queue VALUES('job_01kdvdna00e008000000000008','mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002',1767225660000,NULL,0,NULL,NULL,'{"id":"job_01kdvdna00e008000000000008","merchant":"mer_01kdvdna00e008000000000001","lane":"int_01kdvdna00e008000000000002","task":{"poll":{"payment":100}},"attempts":0,"created_at":1767225600000}');
INSERT INTO queue VALUES('dlv_01kdvdna00e00800000000000a','mer_01kdvdna00e008000000000001','ep_01kdvdna00e008000000000003',1767225600000,1767225630000,1,'old-router',NULL,NULL);
INSERT INTO queue VALUES('job_01kdvdna00e00800000000000c','mer_01kdvdna00e008000000000001','int_01kdvdna00e008000000000002',1767225660000,NULL,0,NULL,NULL,'{"id":"job_01kdvdna00e00800000000000c","merchant":"mer_01kdvdna00e008000000000001","lane":"int_01kdvdna00e008000000000002","task":{"poll":{"payment":101}},"attempts":0,"created_at":1767225600000}');
CREATE TABLE lane (
  lane TEXT PRIMARY KEY,
  due  INTEGER NOT NULL,
  turn INTEGER
) WITHOUT ROWID;
INSERT INTO lane VALUES('ep_01kdvdna00e008000000000003',1767225605000,NULL);
INSERT INTO lane VALUES('int_01kdvdna00e008000000000002',1767225660000,NULL);
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
CREATE TABLE hold (lane TEXT PRIMARY KEY, until INTEGER NOT NULL, step INTEGER NOT NULL, since INTEGER NOT NULL, tried_until INTEGER, due INTEGER) WITHOUT ROWID;
CREATE INDEX hold_by_due ON hold (due) WHERE due IS NOT NULL;
CREATE INDEX hold_left ON hold (until) WHERE due IS NULL;
CREATE TABLE tally (
  merchant TEXT NOT NULL,
  hour     INTEGER NOT NULL,
  key      TEXT NOT NULL,
  value    INTEGER NOT NULL,
  PRIMARY KEY (merchant, hour, key)
) WITHOUT ROWID;
INSERT INTO tally VALUES('mer_01kdvdna00e008000000000001',1767225600000,'event.succeeded.yookassa',2);
CREATE TABLE replay (
  merchant TEXT NOT NULL,
  id       TEXT NOT NULL,
  version  INTEGER NOT NULL,
  record   TEXT NOT NULL,
  PRIMARY KEY (merchant, id)
);
INSERT INTO replay VALUES('mer_01kdvdna00e008000000000001','rpl_01kdvdna00e00800000000000e',1,'{"id":"rpl_01kdvdna00e00800000000000e","version":1,"merchant":"mer_01kdvdna00e008000000000001","filter":{"status":null,"endpoint":null,"states":[],"providers":[],"from":null,"to":null},"to_endpoint":null,"status":"running","matched":1,"sent":0,"failed":0,"cursor":null,"actor":"kassir","reason":null,"created_at":1767225600000,"updated_at":1767225600000}');
CREATE TABLE audit (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  id       TEXT NOT NULL UNIQUE,
  merchant TEXT NOT NULL,
  hash     TEXT NOT NULL,
  record   TEXT NOT NULL
);
INSERT INTO audit VALUES(1,'aud_01kdvdna00e00800000000000d','mer_01kdvdna00e008000000000001','ef56','{"id":"aud_01kdvdna00e00800000000000d","actor":"kassir","action":"merchant.create","target":"mer_01kdvdna00e008000000000001","merchant":"mer_01kdvdna00e008000000000001","detail":"","at":1767225600000,"hash":"ef56"}');
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
INSERT INTO idempotency VALUES('mer','key','print','0b9e6f2c7d3a4e518c60a1f2b3c4d5e6',1767225601000,1767225600000,201,'{}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audit',1);
CREATE INDEX inbound_token_of ON inbound_token (merchant, integration);
CREATE INDEX payment_by_integration ON payment (merchant, integration, number);
CREATE INDEX payment_by_state ON payment (merchant, state, number) WHERE state <> 'succeeded';
CREATE INDEX payment_by_age ON payment (updated_at);
CREATE INDEX replay_by_age ON replay (json_extract(record, '$.updated_at'))
  WHERE json_extract(record, '$.status') <> 'running';
CREATE INDEX payment_link_of ON payment_link (merchant, number);
CREATE INDEX event_by_payment ON event (merchant, payment, id);
CREATE INDEX event_by_age ON event (created_at);
CREATE INDEX delivery_by_payment ON delivery (merchant, payment, id);
CREATE INDEX delivery_by_status ON delivery (merchant, status, id) WHERE status <> 'delivered';
CREATE INDEX delivery_by_endpoint ON delivery (merchant, endpoint, id);
CREATE INDEX notification_by_payment ON notification (merchant, payment, id) WHERE payment IS NOT NULL;
CREATE INDEX notification_by_outcome ON notification (merchant, outcome, id) WHERE outcome <> 'accepted';
CREATE INDEX notification_by_age ON notification (received_at) WHERE outcome NOT IN ('rejected', 'duplicate');
CREATE INDEX notification_refused_by_age ON notification (received_at) WHERE outcome IN ('rejected', 'duplicate');
CREATE INDEX queue_waiting ON queue (lane, due) WHERE lease_until IS NULL;
CREATE INDEX queue_leased ON queue (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX queue_refers ON queue (refers) WHERE refers IS NOT NULL;
CREATE INDEX lane_by_due ON lane (due);
CREATE INDEX lane_by_turn ON lane (turn, due) WHERE turn IS NOT NULL;
CREATE INDEX lane_idle ON lane (due) WHERE turn IS NULL;
CREATE INDEX tally_by_age ON tally (hour);
CREATE INDEX audit_chain ON audit (merchant, seq);
CREATE INDEX audit_list ON audit (merchant, id);
CREATE INDEX idempotency_by_age ON idempotency (at);
COMMIT;
PRAGMA application_id = 1262572371;
PRAGMA user_version = 1;
