-- Applies the changes of one transaction. Arrays run in parallel, in path order, new rows last: rows are locked in that order, so that
-- two commits do not wait for each other. `conflict` is the position of the first row that is not as it was read; then the caller rolls
-- back (an exception would put a line into the server's log for each).
-- kinds: 0 guard, 1 put, 2 delete, 3 put under a random name, which is a conflict if anything is there. expected: NULL whatever is
-- there, 0 must be absent.
CREATE OR REPLACE FUNCTION vault.apply_changes(
    parents text[], names text[], kinds smallint[], expected bigint[], sealed bytea[], expiries double precision[],
    new_version bigint, prefixes text[], prefix_ends text[], origin text, notice text,
    OUT transaction bigint, OUT conflict integer, OUT created integer[], OUT removed text[]
) LANGUAGE plpgsql AS $$
DECLARE
    gone text[];
BEGIN
    created := '{}';
    removed := '{}';
    FOR i IN 1 .. cardinality(parents) LOOP
        IF kinds[i] = 3 THEN
            INSERT INTO vault.entry (parent, name, value, version, expires_at)
            VALUES (parents[i], names[i], sealed[i], new_version, expiries[i])
            ON CONFLICT (parent, name) DO NOTHING;
            CONTINUE WHEN FOUND;
        ELSIF kinds[i] = 1 THEN
            IF expected[i] IS NULL OR expected[i] <> 0 THEN
                UPDATE vault.entry SET value = sealed[i], version = new_version, expires_at = expiries[i]
                WHERE parent = parents[i] AND name = names[i] AND (expected[i] IS NULL OR version = expected[i]);
                CONTINUE WHEN FOUND;
            END IF;
            IF expected[i] IS NULL OR expected[i] = 0 THEN
                INSERT INTO vault.entry (parent, name, value, version, expires_at)
                VALUES (parents[i], names[i], sealed[i], new_version, expiries[i])
                ON CONFLICT (parent, name) DO NOTHING;
                IF FOUND THEN
                    created := created || i;
                    CONTINUE;
                END IF;
            END IF;
        ELSIF kinds[i] = 2 AND (expected[i] IS NULL OR expected[i] <> 0) THEN
            DELETE FROM vault.entry
            WHERE parent = parents[i] AND name = names[i] AND (expected[i] IS NULL OR version = expected[i]);
            IF FOUND THEN
                removed := removed || (parents[i] || names[i]);
                CONTINUE;
            END IF;
            CONTINUE WHEN expected[i] IS NULL;
        ELSIF expected[i] <> 0 THEN
            PERFORM FROM vault.entry
            WHERE parent = parents[i] AND name = names[i] AND version = expected[i] FOR SHARE;
            CONTINUE WHEN FOUND;
        ELSE
            -- What is not there cannot be locked. A row that comes and goes within this transaction keeps others from
            -- making it until this transaction has ended.
            INSERT INTO vault.entry (parent, name, value, version) VALUES (parents[i], names[i], '', new_version)
            ON CONFLICT (parent, name) DO NOTHING;
            IF FOUND THEN
                DELETE FROM vault.entry WHERE parent = parents[i] AND name = names[i];
                CONTINUE;
            END IF;
        END IF;
        conflict := i;
        RETURN;
    END LOOP;
    -- What this transaction has put below a prefix stays.
    FOR i IN 1 .. cardinality(prefixes) LOOP
        WITH deleted AS (
            DELETE FROM vault.entry
            WHERE parent >= prefixes[i] AND parent < prefix_ends[i] AND version <> new_version
            RETURNING parent || name AS path
        )
        SELECT coalesce(array_agg(path), '{}') INTO gone FROM deleted;
        removed := removed || gone;
    END LOOP;
    transaction := pg_current_xact_id()::text::bigint;
    -- After the writes: a host that is not seen here made itself known later than this transaction took its number, and waits for
    -- its end before it trusts its cache. NOTIFY makes commits wait for each other, so a lone host sends none.
    IF EXISTS (SELECT FROM vault.host WHERE id <> origin AND seen_at > clock_timestamp() - interval '10 seconds') THEN
        PERFORM pg_notify('vault_change', origin || ' ' || notice);
    END IF;
END
$$;
