-- For speed alone: engines that speak as PostgreSQL does may not know these, and do without.

-- Ciphertext does not compress.
ALTER TABLE secrets ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE handed_out ALTER COLUMN content SET STORAGE EXTERNAL;

-- A revision is given at every write: its row finds room for its next version beside it.
ALTER TABLE spaces SET (fillfactor = 50);
ALTER TABLE spaces SET (autovacuum_vacuum_scale_factor = 0.02);
