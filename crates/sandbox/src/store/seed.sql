-- Deterministic rows: task-0..task-9999, patient-0..patient-1999, assignees among
-- clinician-0..clinician-14999. Run twice it changes nothing. 1735689600000 is 2025-01-01 UTC.
INSERT INTO patients (id, name, birth_year, ward)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
SELECT 'patient-' || i, 'Synthetic Patient ' || i, 1930 + (i * 37) % 90, 'ward-' || ((i * 13) % 24)
FROM n WHERE true
ON CONFLICT (id) DO NOTHING;

INSERT INTO tasks (id, title, assignee, patient, priority, status, created_at, updated_at)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
SELECT 'task-' || i,
       CASE i % 5 WHEN 0 THEN 'Review blood results' WHEN 1 THEN 'Administer medication'
                  WHEN 2 THEN 'Check wound dressing' WHEN 3 THEN 'Prepare discharge letter'
                  ELSE 'Record vital signs' END || ' #' || i,
       'clinician-' || ((i * 7919) % 15000),
       'patient-' || ((i * 31) % 2000),
       CASE i % 10 WHEN 0 THEN 'urgent' WHEN 1 THEN 'high' WHEN 2 THEN 'high' ELSE 'routine' END,
       CASE i % 4 WHEN 0 THEN 'open' WHEN 1 THEN 'in-progress' WHEN 2 THEN 'open' ELSE 'done' END,
       1735689600000 + i * 60000,
       1735689600000 + i * 60000
FROM n WHERE true
ON CONFLICT (id) DO NOTHING;

INSERT INTO handovers (id, from_clinician, to_clinician, task, shift, created_at, acknowledged_at)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499)
SELECT 'handover-' || i, 'clinician-' || i, 'clinician-' || (i + 7500), 'task-' || (i * 20),
       CASE i % 2 WHEN 0 THEN 'day' ELSE 'night' END, 1735689600000 + i * 60000, NULL
FROM n WHERE true
ON CONFLICT (id) DO NOTHING;
