-- The directory in PostgreSQL, version 1. For people: docs/directory-schema.md.
--
-- Triggers keep what no program must be trusted with: one address is one thing, versions grow, and whoever listens is
-- told. Their functions see this schema only, and run as its owner, so that a role with rights to a table of objects
-- needs none to the registers and the log.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Names ---------------------------------------------------------------------------------------------------------------

-- Whose a domain name is: of a domain or of a domain alias. Kept by triggers.
CREATE TABLE domain_name (
    name   text COLLATE "C" PRIMARY KEY,
    kind   text NOT NULL,
    ref_id bigint NOT NULL
);

-- Whose an address is: of an account, an alias or a list. Kept by triggers.
CREATE TABLE address (
    address text COLLATE "C" PRIMARY KEY,
    kind    text NOT NULL,
    ref_id  bigint NOT NULL
);

-- Objects -------------------------------------------------------------------------------------------------------------

CREATE TABLE domain (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text COLLATE "C" NOT NULL UNIQUE
                    CHECK (name = lower(name) AND name <> '' AND name !~ '[@|\s]' AND octet_length(name) <= 255),
    active          boolean NOT NULL DEFAULT true,
    catch_all       text COLLATE "C" CHECK (catch_all = lower(catch_all) AND catch_all LIKE '%_@_%'),
    message_size    bigint CHECK (message_size >= 0),
    plus_addressing boolean NOT NULL DEFAULT true,
    plus_separator  text NOT NULL DEFAULT '+'
                    CHECK (plus_separator NOT LIKE '%@%' AND (plus_separator <> '' OR NOT plus_addressing)),
    account_limit   bigint CHECK (account_limit BETWEEN 0 AND 4294967295),
    alias_limit     bigint CHECK (alias_limit BETWEEN 0 AND 4294967295),
    list_limit      bigint CHECK (list_limit BETWEEN 0 AND 4294967295),
    version         bigint NOT NULL DEFAULT 1,
    created         bigint NOT NULL DEFAULT 0,
    changed         bigint NOT NULL DEFAULT 0
);

CREATE TABLE domain_alias (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE
            CHECK (name = lower(name) AND name <> '' AND name !~ '[@|\s]' AND octet_length(name) <= 255),
    domain  text COLLATE "C" NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    active  boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0
);

CREATE TABLE account (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    local_part   text COLLATE "C" NOT NULL
                 CHECK (local_part = lower(local_part) AND local_part !~ '["/\\\s@]' AND local_part <> ''
                        AND octet_length(local_part) <= 128),
    domain       text COLLATE "C" NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address      text COLLATE "C" NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE,
    active       boolean NOT NULL DEFAULT true,
    password     text,
    quota        bigint CHECK (quota >= 0),
    forward      text COLLATE "C" CHECK (forward = lower(forward) AND forward LIKE '%_@_%'),
    forward_keep boolean NOT NULL DEFAULT true,
    version      bigint NOT NULL DEFAULT 1,
    created      bigint NOT NULL DEFAULT 0,
    changed      bigint NOT NULL DEFAULT 0
);

CREATE TABLE alias (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    local_part text COLLATE "C" NOT NULL
               CHECK (local_part = lower(local_part) AND local_part <> '' AND octet_length(local_part) <= 128),
    domain     text COLLATE "C" NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address    text COLLATE "C" NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE,
    active     boolean NOT NULL DEFAULT true,
    version    bigint NOT NULL DEFAULT 1,
    created    bigint NOT NULL DEFAULT 0,
    changed    bigint NOT NULL DEFAULT 0
);

CREATE TABLE alias_target (
    alias_id bigint NOT NULL REFERENCES alias (id) ON DELETE CASCADE,
    address  text COLLATE "C" NOT NULL CHECK (address = lower(address) AND address LIKE '%_@_%'),
    PRIMARY KEY (alias_id, address)
);

CREATE TABLE list (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    local_part   text COLLATE "C" NOT NULL
                 CHECK (local_part = lower(local_part) AND local_part <> '' AND octet_length(local_part) <= 128),
    domain       text COLLATE "C" NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address      text COLLATE "C" NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE,
    active       boolean NOT NULL DEFAULT true,
    mode         text NOT NULL DEFAULT 'public'
                 CHECK (mode IN ('public', 'membership', 'announcement', 'domain')),
    owner        text COLLATE "C" CHECK (owner = lower(owner) AND owner LIKE '%_@_%'),
    require_auth boolean NOT NULL DEFAULT false,
    version      bigint NOT NULL DEFAULT 1,
    created      bigint NOT NULL DEFAULT 0,
    changed      bigint NOT NULL DEFAULT 0
);

CREATE TABLE list_member (
    list_id bigint NOT NULL REFERENCES list (id) ON DELETE CASCADE,
    address text COLLATE "C" NOT NULL CHECK (address = lower(address) AND address LIKE '%_@_%'),
    PRIMARY KEY (list_id, address)
);

CREATE TABLE route (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain     text COLLATE "C" NOT NULL UNIQUE
               CHECK (domain = lower(domain) AND domain <> '' AND octet_length(domain) <= 256),
    active     boolean NOT NULL DEFAULT true,
    hosts      text NOT NULL DEFAULT '',
    mx         boolean NOT NULL DEFAULT false,
    tls        text CHECK (tls IN ('none', 'may', 'encrypt', 'verify')),
    preference text NOT NULL DEFAULT '',
    username   text,
    password   text,
    version    bigint NOT NULL DEFAULT 1,
    created    bigint NOT NULL DEFAULT 0,
    changed    bigint NOT NULL DEFAULT 0
);

-- What a domain has, for its limits, its rename and its end.
CREATE INDEX domain_alias_domain ON domain_alias (domain);
CREATE INDEX account_domain ON account (domain);
CREATE INDEX alias_domain ON alias (domain);
CREATE INDEX list_domain ON list (domain);

-- The log -------------------------------------------------------------------------------------------------------------

-- What has changed, in order; without id: any of that kind. The last 50,000.
CREATE TABLE change_log (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL,
    id       bigint,
    old_name text COLLATE "C",
    new_name text COLLATE "C",
    version  bigint,
    tx       bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)
);
CREATE INDEX change_log_tx ON change_log (tx);

-- Tells one change to whoever listens: v1|kind|id|old|new|version, with % and | in names as %25 and %7C; or
-- v1|flush|kind, also where a name is too long for a notification.
CREATE FUNCTION remuda_notify() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    payload text := 'v1|flush|' || NEW.kind;
BEGIN
    IF NEW.id IS NOT NULL THEN
        payload := concat_ws('|', 'v1', NEW.kind, NEW.id,
            replace(replace(coalesce(NEW.old_name, ''), '%', '%25'), '|', '%7C'),
            replace(replace(coalesce(NEW.new_name, ''), '%', '%25'), '|', '%7C'), NEW.version);
        IF octet_length(payload) >= 8000 THEN
            payload := 'v1|flush|' || NEW.kind;
        END IF;
    END IF;
    PERFORM pg_notify('remuda_directory', payload);
    RETURN NULL;
END $$;
CREATE TRIGGER change_log_notify AFTER INSERT ON change_log FOR EACH ROW EXECUTE FUNCTION remuda_notify();

-- Rows that somebody else is removing just now are left to him: nobody waits for the other's end.
CREATE FUNCTION remuda_prune() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM change_log WHERE seq IN (
        SELECT c.seq FROM change_log c WHERE c.seq <= (SELECT max(n.seq) FROM new_rows n) - 50000
        ORDER BY c.seq LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END $$;
CREATE TRIGGER change_log_pruned AFTER INSERT ON change_log REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION remuda_prune();

-- Answers whether so many changes more are told one by one: up to 200 in a transaction. After that the whole kind
-- is, once.
CREATE FUNCTION remuda_few(of_kind text, many bigint) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    told bigint := coalesce(nullif(current_setting('remuda.told', true), ''), '0')::bigint + many;
BEGIN
    IF many = 0 OR EXISTS (SELECT FROM change_log c
                           WHERE c.tx = pg_current_xact_id()::text::bigint AND c.kind = of_kind AND c.id IS NULL) THEN
        RETURN false;
    ELSIF told <= 200 THEN
        PERFORM set_config('remuda.told', told::text, true);
        RETURN true;
    END IF;
    INSERT INTO change_log (kind) VALUES (of_kind);
    RETURN false;
END $$;

-- What each statement leaves behind ------------------------------------------------------------------------------------
-- The tables are named as the kinds are; the argument is the column of the name.

CREATE FUNCTION remuda_inserted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME IN ('account', 'alias', 'list') THEN
        INSERT INTO address SELECT n.address, TG_TABLE_NAME, n.id FROM new_rows n;
    ELSIF TG_TABLE_NAME IN ('domain', 'domain_alias') THEN
        INSERT INTO domain_name SELECT n.name, TG_TABLE_NAME, n.id FROM new_rows n;
    END IF;
    IF remuda_few(TG_TABLE_NAME, (SELECT count(*) FROM new_rows)) THEN
        INSERT INTO change_log (kind, id, new_name, version)
            SELECT TG_TABLE_NAME, n.id, to_jsonb(n) ->> TG_ARGV[0], n.version FROM new_rows n ORDER BY n.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION remuda_updated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- The old names go before the new ones come: a statement may swap them.
    IF TG_TABLE_NAME IN ('account', 'alias', 'list') THEN
        DELETE FROM address a USING old_rows o JOIN new_rows n USING (id)
            WHERE o.address <> n.address AND a.address = o.address;
        INSERT INTO address SELECT n.address, TG_TABLE_NAME, n.id
            FROM old_rows o JOIN new_rows n USING (id) WHERE o.address <> n.address;
    ELSIF TG_TABLE_NAME IN ('domain', 'domain_alias') THEN
        DELETE FROM domain_name d USING old_rows o JOIN new_rows n USING (id)
            WHERE o.name <> n.name AND d.name = o.name;
        INSERT INTO domain_name SELECT n.name, TG_TABLE_NAME, n.id
            FROM old_rows o JOIN new_rows n USING (id) WHERE o.name <> n.name;
    END IF;
    -- A version that has not grown: nothing of the directory has changed.
    IF remuda_few(TG_TABLE_NAME,
                  (SELECT count(*) FROM old_rows o JOIN new_rows n USING (id) WHERE o.version <> n.version)) THEN
        INSERT INTO change_log (kind, id, old_name, new_name, version)
            SELECT TG_TABLE_NAME, n.id, to_jsonb(o) ->> TG_ARGV[0], to_jsonb(n) ->> TG_ARGV[0], n.version
            FROM old_rows o JOIN new_rows n USING (id) WHERE o.version <> n.version ORDER BY n.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION remuda_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME IN ('account', 'alias', 'list') THEN
        DELETE FROM address a USING old_rows o WHERE a.address = o.address;
    ELSIF TG_TABLE_NAME IN ('domain', 'domain_alias') THEN
        DELETE FROM domain_name d USING old_rows o WHERE d.name = o.name;
    END IF;
    IF remuda_few(TG_TABLE_NAME, (SELECT count(*) FROM old_rows)) THEN
        INSERT INTO change_log (kind, id, old_name, version)
            SELECT TG_TABLE_NAME, o.id, to_jsonb(o) ->> TG_ARGV[0], o.version + 1 FROM old_rows o ORDER BY o.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION remuda_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'alias_target' THEN UPDATE alias SET version = version + 1;
        WHEN 'list_member' THEN UPDATE list SET version = version + 1;
        ELSE
            DELETE FROM address a WHERE a.kind = TG_TABLE_NAME;
            DELETE FROM domain_name d WHERE d.kind = TG_TABLE_NAME;
            INSERT INTO change_log (kind) VALUES (TG_TABLE_NAME);
    END CASE;
    RETURN NULL;
END $$;

-- A target or member that comes or goes is a change of its alias or list.
CREATE FUNCTION remuda_part_came() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME = 'alias_target' THEN
        UPDATE alias SET version = version + 1 WHERE id IN (SELECT n.alias_id FROM new_rows n);
    ELSE
        UPDATE list SET version = version + 1 WHERE id IN (SELECT n.list_id FROM new_rows n);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION remuda_part_went() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME = 'alias_target' THEN
        UPDATE alias SET version = version + 1 WHERE id IN (SELECT o.alias_id FROM old_rows o);
    ELSE
        UPDATE list SET version = version + 1 WHERE id IN (SELECT o.list_id FROM old_rows o);
    END IF;
    RETURN NULL;
END $$;

-- Versions and times are nobody's to write.
CREATE FUNCTION remuda_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.changed := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        NEW.created := NEW.changed;
    ELSE
        NEW.version := OLD.version + 1;
        NEW.created := OLD.created;
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    one record;
    event record;
BEGIN
    -- Table, column of the name, and the columns whose change is one of the object; others may be added by whoever
    -- wants them, and are not the directory's.
    FOR one IN SELECT * FROM (VALUES
        ('domain', 'name', '{name, active, catch_all, message_size, plus_addressing, plus_separator, account_limit,
            alias_limit, list_limit, version, created}'::text[]),
        ('domain_alias', 'name', '{name, domain, active, version, created}'),
        ('account', 'address', '{local_part, domain, active, password, quota, forward, forward_keep, version, created}'),
        ('alias', 'address', '{local_part, domain, active, version, created}'),
        ('list', 'address', '{local_part, domain, active, mode, owner, require_auth, version, created}'),
        ('route', 'domain', '{domain, active, hosts, mx, tls, preference, username, password, version, created}')
    ) AS t (kind, name, columns) LOOP
        EXECUTE format('CREATE TRIGGER %1$s_created BEFORE INSERT ON %1$I FOR EACH ROW EXECUTE FUNCTION remuda_stamp()',
            one.kind);
        EXECUTE format('CREATE TRIGGER %1$s_changed BEFORE UPDATE ON %1$I FOR EACH ROW
            WHEN ((%2$s) IS DISTINCT FROM (%3$s)) EXECUTE FUNCTION remuda_stamp()', one.kind,
            (SELECT string_agg('OLD.' || c, ', ') FROM unnest(one.columns) c),
            (SELECT string_agg('NEW.' || c, ', ') FROM unnest(one.columns) c));
        EXECUTE format('CREATE TRIGGER %1$s_inserted AFTER INSERT ON %1$I REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_inserted(%2$L)', one.kind, one.name);
        EXECUTE format('CREATE TRIGGER %1$s_updated AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS old_rows
            NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION remuda_updated(%2$L)', one.kind, one.name);
        EXECUTE format('CREATE TRIGGER %1$s_deleted AFTER DELETE ON %1$I REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_deleted(%2$L)', one.kind, one.name);
        EXECUTE format('CREATE TRIGGER %1$s_truncated AFTER TRUNCATE ON %1$I
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_truncated()', one.kind);
    END LOOP;
    FOR one IN SELECT unnest('{alias_target, list_member}'::text[]) AS part LOOP
        EXECUTE format('CREATE TRIGGER %1$s_inserted AFTER INSERT ON %1$I REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_part_came()', one.part);
        EXECUTE format('CREATE TRIGGER %1$s_updated_from AFTER UPDATE ON %1$I REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_part_went()', one.part);
        EXECUTE format('CREATE TRIGGER %1$s_updated_to AFTER UPDATE ON %1$I REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_part_came()', one.part);
        EXECUTE format('CREATE TRIGGER %1$s_deleted AFTER DELETE ON %1$I REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_part_went()', one.part);
        EXECUTE format('CREATE TRIGGER %1$s_truncated AFTER TRUNCATE ON %1$I
            FOR EACH STATEMENT EXECUTE FUNCTION remuda_truncated()', one.part);
    END LOOP;
END $$;
