-- Rows of the vault: ciphertext by path. A path is its folder (`parent`, up to and with the last slash) and its `name`, so that
-- listing a folder reads that folder only.
CREATE TABLE vault.entry (
    parent     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    value      bytea NOT NULL,
    version    bigint NOT NULL,
    expires_at double precision,
    PRIMARY KEY (parent, name)
);

-- Ciphertext does not compress.
ALTER TABLE vault.entry ALTER COLUMN value SET STORAGE EXTERNAL;

-- By which the expiry worker finds what is due; the decision is made on the encrypted record.
CREATE INDEX entry_expires_at ON vault.entry (expires_at) WHERE expires_at IS NOT NULL;

-- Hosts that cache rows. A host that has not been seen for ten seconds must not use its cache.
CREATE TABLE vault.host (
    id      text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

-- Applies the changes of one transaction, or raises HV001 when a row is not as it was read. Arrays run in parallel, in path
-- order: rows are locked in that order, so two commits cannot wait for each other.
-- kinds: 0 guard, 1 put, 2 delete. expected: NULL whatever is there, 0 must be absent.
-- The notice tells other hosts which counters to move. NOTIFY makes commits wait for each other, so a lone host sends none.
CREATE FUNCTION vault.apply_changes(
    parents text[], names text[], kinds smallint[], expected bigint[], sealed bytea[], expiries double precision[], new_version bigint,
    origin text, notice text,
    OUT created integer[], OUT removed integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    present bigint;
BEGIN
    created := '{}';
    removed := '{}';
    FOR i IN 1 .. coalesce(array_length(parents, 1), 0) LOOP
        IF kinds[i] = 0 THEN
            SELECT version INTO present FROM vault.entry WHERE parent = parents[i] AND name = names[i] FOR SHARE;
        ELSE
            SELECT version INTO present FROM vault.entry WHERE parent = parents[i] AND name = names[i] FOR UPDATE;
        END IF;
        IF expected[i] IS NOT NULL AND coalesce(present, 0) <> expected[i] THEN
            RAISE EXCEPTION USING ERRCODE = 'HV001', MESSAGE = 'row changed', DETAIL = i::text;
        END IF;
        IF kinds[i] = 1 THEN
            IF present IS NOT NULL THEN
                UPDATE vault.entry SET value = sealed[i], version = new_version, expires_at = expiries[i]
                WHERE parent = parents[i] AND name = names[i];
            ELSE
                INSERT INTO vault.entry (parent, name, value, version, expires_at)
                VALUES (parents[i], names[i], sealed[i], new_version, expiries[i])
                ON CONFLICT (parent, name) DO NOTHING;
                IF NOT FOUND THEN
                    RAISE EXCEPTION USING ERRCODE = 'HV001', MESSAGE = 'row changed', DETAIL = i::text;
                END IF;
                created := created || i;
            END IF;
        ELSIF kinds[i] = 2 AND present IS NOT NULL THEN
            DELETE FROM vault.entry WHERE parent = parents[i] AND name = names[i];
            removed := removed || i;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM vault.host WHERE id <> origin AND seen_at > clock_timestamp() - interval '10 seconds') THEN
        PERFORM pg_notify('vault_change', origin || ' ' || notice);
    END IF;
END
$$;
