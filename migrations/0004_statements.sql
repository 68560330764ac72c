-- The changes of a transaction are plain statements now, sent together: running them from a function cost more than they did.
DROP FUNCTION vault.apply_changes(
    text[], text[], smallint[], bigint[], bytea[], double precision[], bigint, text[], text[], text, text
);
