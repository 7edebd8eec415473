-- The reference platform's tables: the same text for SQLite and PostgreSQL.
-- Instants are milliseconds since 1970 (UTC).
CREATE TABLE IF NOT EXISTS patients (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    birth_year  BIGINT NOT NULL,
    ward        TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS patients_by_ward ON patients (ward);

CREATE TABLE IF NOT EXISTS tasks (
    id          TEXT PRIMARY KEY,
    title       TEXT NOT NULL,
    assignee    TEXT NOT NULL,
    patient     TEXT NOT NULL,
    priority    TEXT NOT NULL,
    status      TEXT NOT NULL,
    notes       TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS tasks_by_assignee ON tasks (assignee, created_at);
CREATE INDEX IF NOT EXISTS tasks_by_patient ON tasks (patient);
CREATE INDEX IF NOT EXISTS tasks_by_creation ON tasks (created_at);

CREATE TABLE IF NOT EXISTS verifications (
    id          TEXT PRIMARY KEY,
    patient     TEXT NOT NULL,
    task        TEXT NOT NULL,
    system      TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS verifications_by_patient ON verifications (patient, created_at);
CREATE INDEX IF NOT EXISTS verifications_by_task ON verifications (task);

CREATE TABLE IF NOT EXISTS handovers (
    id              TEXT PRIMARY KEY,
    from_clinician  TEXT NOT NULL,
    to_clinician    TEXT NOT NULL,
    task            TEXT,
    shift           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    acknowledged_at BIGINT
);
CREATE INDEX IF NOT EXISTS handovers_by_shift ON handovers (shift, created_at);

CREATE TABLE IF NOT EXISTS sync_states (
    client      TEXT PRIMARY KEY,
    version     BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
