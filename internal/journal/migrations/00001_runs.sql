-- +goose Up
-- Times are nanoseconds since 1970, 0 where there is none. A body is the JSON
-- of what the row stands for; the other columns are what is searched for.

CREATE TABLE incident (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT    NOT NULL,
    opened BIGINT  NOT NULL,
    closed BIGINT  NOT NULL,
    body   TEXT    NOT NULL
);
CREATE UNIQUE INDEX incident_open ON incident (key) WHERE closed = 0;

CREATE TABLE run (
    id         TEXT    PRIMARY KEY,
    incident   BIGINT  NOT NULL,
    remedy     TEXT    NOT NULL,
    server     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    gate       TEXT    NOT NULL,
    holds_slot BOOLEAN NOT NULL,
    created    BIGINT  NOT NULL,
    started    BIGINT  NOT NULL,
    ended      BIGINT  NOT NULL,
    body       TEXT    NOT NULL
);
-- One run at a time on a server, and one for a remedy in an incident, whatever the program believes.
CREATE UNIQUE INDEX run_slot ON run (server) WHERE holds_slot;
CREATE UNIQUE INDEX run_incident ON run (incident, remedy) WHERE incident <> 0 AND ended = 0;
CREATE INDEX run_open ON run (created) WHERE holds_slot OR ended = 0;
CREATE INDEX run_created ON run (created);
CREATE INDEX run_past ON run (remedy, server, started);
CREATE INDEX run_last ON run (remedy, ended);
CREATE INDEX run_tally ON run (remedy, state, gate);

CREATE TABLE step (
    run    TEXT    NOT NULL REFERENCES run (id),
    idx    INTEGER NOT NULL,
    step   TEXT    NOT NULL,
    intent BIGINT  NOT NULL,
    result TEXT,
    PRIMARY KEY (run, idx)
);

CREATE TABLE suppression (
    incident BIGINT NOT NULL,
    remedy   TEXT   NOT NULL,
    gate     TEXT   NOT NULL,
    body     TEXT   NOT NULL,
    PRIMARY KEY (incident, remedy, gate)
);

CREATE TABLE circuit (
    remedy TEXT PRIMARY KEY,
    body   TEXT NOT NULL
);

CREATE TABLE pause (
    scope TEXT NOT NULL,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (scope, name)
);

CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    who     TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    body    TEXT   NOT NULL,
    prev    TEXT   NOT NULL,
    hash    TEXT   NOT NULL
);

CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    next_at BIGINT  NOT NULL,
    settled BOOLEAN NOT NULL,
    body    TEXT    NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE NOT settled;

CREATE TABLE attempt (
    event   BIGINT  NOT NULL REFERENCES outbox (id),
    idx     INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (event, idx)
);

CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- +goose Down
DROP TABLE state;
DROP TABLE attempt;
DROP TABLE outbox;
DROP TABLE audit;
DROP TABLE pause;
DROP TABLE circuit;
DROP TABLE suppression;
DROP TABLE step;
DROP TABLE run;
DROP TABLE incident;
