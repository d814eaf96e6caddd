-- Who gave an event up; empty where that was before it was written down.
ALTER TABLE discarded_events ADD COLUMN discarded_by TEXT NOT NULL DEFAULT '';
