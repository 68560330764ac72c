-- Audit records, only ever added. `line` is what a file would hold, without its newline; `at` is when this database took it, by its
-- own clock, so that a host whose clock is wrong still finds a partition.
CREATE TABLE vault.audit_record (
    log  text COLLATE "C" NOT NULL,
    seq  bigint NOT NULL CHECK (seq > 0),
    at   timestamptz NOT NULL,
    line bytea NOT NULL,
    PRIMARY KEY (log, seq, at)
) PARTITION BY RANGE (at);

-- Which logs there are: one for each start of a host and each of its devices. Without it, a log that vanished as a whole would not
-- be missed until the next one names it.
CREATE TABLE vault.audit_log (
    log      text COLLATE "C" PRIMARY KEY,
    host     text NOT NULL,
    device   text NOT NULL,
    begun_at timestamptz NOT NULL
);
CREATE INDEX audit_log_host ON vault.audit_log (host, device, begun_at);

CREATE FUNCTION vault.audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are only added: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- For everybody, the owner included. Each statement is refused, also one that would touch no row.
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vault.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION vault.audit_refuse();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vault.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION vault.audit_refuse();

-- Makes the partitions of this month and the next two; returns how many. Runs as the owner, whoever calls. A table is made first and
-- then attached: that does not keep writers waiting.
CREATE FUNCTION vault.audit_make_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
    first timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('vault.audit_make_partitions', 0));
    FOR ahead IN 0 .. 2 LOOP
        first := date_trunc('month', now()) + make_interval(months => ahead);
        name := 'audit_record_' || to_char(first, 'YYYY_MM');
        CONTINUE WHEN to_regclass('vault.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE vault.%I (LIKE vault.audit_record INCLUDING ALL)', name);
        EXECUTE format(
            'CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vault.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION vault.audit_refuse()', name
        );
        EXECUTE format(
            'ALTER TABLE vault.audit_record ATTACH PARTITION vault.%I FOR VALUES FROM (%L) TO (%L)',
            name, first, first + interval '1 month'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Adds records in one go, and returns the last number of their log before. Nothing is added unless that is one less than `first`:
-- the primary key holds the time, too, and so alone would let two writers add the same number.
CREATE FUNCTION vault.audit_append(log text, first bigint, lines bytea[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(audit_append.log, 1));
    -- A recent record is looked for first: that reads two or three partitions and not all of them.
    SELECT found.seq INTO last FROM vault.audit_record AS found
    WHERE found.log = audit_append.log AND found.at > now() - interval '40 days' ORDER BY found.seq DESC LIMIT 1;
    IF last IS NULL THEN
        SELECT max(found.seq) INTO last FROM vault.audit_record AS found WHERE found.log = audit_append.log;
    END IF;
    last := coalesce(last, 0);
    IF last = first - 1 THEN
        INSERT INTO vault.audit_record (log, seq, at, line)
        SELECT audit_append.log, first + number - 1, now(), line FROM unnest(lines) WITH ORDINALITY AS given (line, number);
    END IF;
    RETURN last;
END
$$;

-- Gives the application's role what it needs: rows of audit_* tables are read and added, and partitions reached through their parent
-- only. Called by `operator migrate`, as the owner, after every migration.
CREATE FUNCTION vault.grant_application(role text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    item record;
    granted integer := 0;
BEGIN
    IF role = current_user THEN
        RAISE EXCEPTION 'the application needs another role than the owner of the tables' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA vault TO %I', role);
    FOR item IN
        SELECT relname AS name, relispartition AS is_partition FROM pg_class
        WHERE relnamespace = 'vault'::regnamespace AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('REVOKE ALL ON vault.%I FROM %I', item.name, role);
        CONTINUE WHEN item.is_partition;
        EXECUTE format(
            'GRANT %s ON vault.%I TO %I',
            CASE
                WHEN item.name = 'migration' OR item.name LIKE 'audit\_record\_%' THEN 'SELECT'
                WHEN item.name LIKE 'audit\_%' THEN 'SELECT, INSERT'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END,
            item.name, role
        );
        granted := granted + 1;
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vault TO %I', role);
    RETURN granted;
END
$$;

REVOKE ALL ON FUNCTION vault.audit_make_partitions() FROM PUBLIC;
SELECT vault.audit_make_partitions();
