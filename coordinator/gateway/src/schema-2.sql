-- Version 2: reports of blame and divergence.
CREATE TABLE reports (
    id BLOB NOT NULL UNIQUE, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL, body BLOB NOT NULL, statement BLOB, job BLOB);
CREATE INDEX reports_by_time ON reports (last_ms);
