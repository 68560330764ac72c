-- Signed checkpoints of audit logs, and the closing records of partitions that were removed; only ever added. `log` is the name of
-- their chain: that of the audit log, or `closing`.
CREATE TABLE vault.audit_checkpoint (
    log    text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    line   bytea NOT NULL,
    PRIMARY KEY (log, number)
);

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vault.audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION vault.audit_refuse();

-- The partitions of the audit table with their bounds, oldest first.
CREATE FUNCTION vault.audit_list_partitions() RETURNS TABLE (name text, starts timestamptz, ends timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
    SELECT child.relname::text, substring(bound FROM $r$FROM \('([^']+)'\)$r$)::timestamptz, substring(bound FROM $r$TO \('([^']+)'\)$r$)::timestamptz
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
    WHERE inhparent = 'vault.audit_record'::regclass AND NOT inhdetachpending
    ORDER BY 2
$$;

-- Takes a partition out of the audit table; the table itself stays, for its owner to export and drop. Runs as the owner, whoever calls:
-- the application may remove what is old enough and closed by a record, and nothing else. Six years are the least that the law asks.
CREATE FUNCTION vault.audit_detach_partition(partition text, retention_days integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    partition_end timestamptz;
BEGIN
    SELECT ends INTO partition_end FROM vault.audit_list_partitions() WHERE name = partition;
    IF partition_end IS NULL THEN
        RETURN false;
    END IF;
    IF partition_end > now() - make_interval(days => greatest(retention_days, 2190)) THEN
        RAISE EXCEPTION 'partition % is younger than the retention', partition USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM FROM vault.audit_checkpoint
    WHERE log = 'closing' AND convert_from(line, 'UTF8')::jsonb -> 'partitions' ? partition;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % has no closing record', partition USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('ALTER TABLE vault.audit_record DETACH PARTITION vault.%I', partition);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION vault.audit_detach_partition(text, integer) FROM PUBLIC;
