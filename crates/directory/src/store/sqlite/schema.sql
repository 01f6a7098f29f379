-- Version 1 of the directory. What every table and column means: docs/directory-schema.md.
-- It must be understood by the sqlite3 programs that people have, from 3.37 on: no newer SQL than that.
-- The triggers keep every rule whether a connection has foreign_keys on or not.

CREATE TABLE domain (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE CHECK (name <> '' AND name = lower(name) AND instr(name, '@') = 0),
    catch_all       TEXT CHECK (instr(catch_all, '@') > 1 AND catch_all = lower(catch_all)),
    message_size    INTEGER CHECK (message_size >= 0),
    plus_addressing INTEGER NOT NULL DEFAULT 1 CHECK (plus_addressing IN (0, 1)),
    plus_separator  TEXT NOT NULL DEFAULT '+'
                    CHECK (instr(plus_separator, '@') = 0 AND (plus_separator <> '' OR NOT plus_addressing)),
    account_limit   INTEGER CHECK (account_limit BETWEEN 0 AND 4294967295),
    alias_limit     INTEGER CHECK (alias_limit BETWEEN 0 AND 4294967295),
    list_limit      INTEGER CHECK (list_limit BETWEEN 0 AND 4294967295),
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;

CREATE TABLE domain_alias (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE CHECK (name <> '' AND name = lower(name) AND instr(name, '@') = 0),
    domain   TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;
CREATE INDEX domain_alias_domain ON domain_alias (domain, name);

CREATE TABLE account (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    local_part TEXT NOT NULL CHECK (local_part <> '' AND local_part = lower(local_part)),
    domain     TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address    TEXT NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE
               CHECK (instr(local_part, '"') + instr(local_part, '/') + instr(local_part, char(92)) + instr(local_part, ' ') = 0),
    password     TEXT,
    quota        INTEGER CHECK (quota >= 0),
    forward      TEXT CHECK (instr(forward, '@') > 1 AND forward = lower(forward)),
    forward_keep INTEGER NOT NULL DEFAULT 1 CHECK (forward_keep IN (0, 1)),
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;
CREATE INDEX account_domain ON account (domain, address);

CREATE TABLE alias (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    local_part TEXT NOT NULL CHECK (local_part <> '' AND local_part = lower(local_part)),
    domain     TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address    TEXT NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE,
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;
CREATE INDEX alias_domain ON alias (domain, address);

CREATE TABLE alias_target (
    alias_id INTEGER NOT NULL REFERENCES alias (id) ON DELETE CASCADE,
    address  TEXT NOT NULL CHECK (instr(address, '@') > 1 AND address = lower(address)),
    PRIMARY KEY (alias_id, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE list (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    local_part TEXT NOT NULL CHECK (local_part <> '' AND local_part = lower(local_part)),
    domain     TEXT NOT NULL REFERENCES domain (name) ON UPDATE CASCADE,
    address    TEXT NOT NULL GENERATED ALWAYS AS (local_part || '@' || domain) STORED UNIQUE,
    mode         TEXT NOT NULL DEFAULT 'public' CHECK (mode IN ('public', 'membership', 'announcement', 'domain')),
    owner        TEXT CHECK (instr(owner, '@') > 1 AND owner = lower(owner)),
    require_auth INTEGER NOT NULL DEFAULT 0 CHECK (require_auth IN (0, 1)),
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;
CREATE INDEX list_domain ON list (domain, address);

CREATE TABLE list_member (
    list_id INTEGER NOT NULL REFERENCES list (id) ON DELETE CASCADE,
    address TEXT NOT NULL CHECK (instr(address, '@') > 1 AND address = lower(address)),
    PRIMARY KEY (list_id, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE route (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    domain     TEXT NOT NULL UNIQUE CHECK (domain <> '' AND domain = lower(domain) AND instr(domain, '@') = 0),
    hosts      TEXT NOT NULL DEFAULT '',
    mx         INTEGER NOT NULL DEFAULT 0 CHECK (mx IN (0, 1)),
    tls        TEXT CHECK (tls IN ('none', 'may', 'encrypt', 'verify')),
    preference TEXT NOT NULL DEFAULT '',
    username   TEXT,
    password   TEXT,
    active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    version  INTEGER NOT NULL DEFAULT 1,
    created  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)),
    changed  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER))
) STRICT;

-- One address is one thing: every account, alias and list has its row here, kept by their triggers.
CREATE TABLE address (
    address TEXT PRIMARY KEY,
    kind    TEXT NOT NULL CHECK (kind IN ('account', 'alias', 'list')),
    ref_id  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What has changed, in the order of the commits; the last 50,000.
CREATE TABLE change_log (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    id       INTEGER NOT NULL,
    old_name TEXT,
    new_name TEXT,
    version  INTEGER NOT NULL
) STRICT;
CREATE TRIGGER change_log_bound AFTER INSERT ON change_log BEGIN
    DELETE FROM change_log WHERE seq <= NEW.seq - 50000;
END;

CREATE TRIGGER domain_inserted AFTER INSERT ON domain BEGIN
    SELECT RAISE(ABORT, 'the name is taken by a domain alias') WHERE EXISTS (SELECT 1 FROM domain_alias WHERE name = NEW.name);
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('domain', NEW.id, NULL, NEW.name, NEW.version);
END;
CREATE TRIGGER domain_updated AFTER UPDATE OF name, active, catch_all, message_size, plus_addressing, plus_separator, account_limit, alias_limit, list_limit ON domain BEGIN
    SELECT RAISE(ABORT, 'the name is taken by a domain alias') WHERE EXISTS (SELECT 1 FROM domain_alias WHERE name = NEW.name);
    UPDATE domain SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'domain', id, OLD.name, name, version FROM domain WHERE id = NEW.id;
    UPDATE domain_alias SET domain = NEW.name WHERE domain = OLD.name AND NEW.name <> OLD.name;
    UPDATE account SET domain = NEW.name WHERE domain = OLD.name AND NEW.name <> OLD.name;
    UPDATE alias SET domain = NEW.name WHERE domain = OLD.name AND NEW.name <> OLD.name;
    UPDATE list SET domain = NEW.name WHERE domain = OLD.name AND NEW.name <> OLD.name;
END;
CREATE TRIGGER domain_deleted AFTER DELETE ON domain BEGIN
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('domain', OLD.id, OLD.name, NULL, OLD.version + 1);
END;
CREATE TRIGGER domain_id BEFORE UPDATE OF id ON domain WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER domain_alias_inserted AFTER INSERT ON domain_alias BEGIN
    SELECT RAISE(ABORT, 'the name is taken by a domain') WHERE EXISTS (SELECT 1 FROM domain WHERE name = NEW.name);
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('domain_alias', NEW.id, NULL, NEW.name, NEW.version);
END;
CREATE TRIGGER domain_alias_updated AFTER UPDATE OF name, domain, active ON domain_alias BEGIN
    SELECT RAISE(ABORT, 'the name is taken by a domain') WHERE EXISTS (SELECT 1 FROM domain WHERE name = NEW.name);
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    UPDATE domain_alias SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'domain_alias', id, OLD.name, name, version FROM domain_alias WHERE id = NEW.id;
END;
CREATE TRIGGER domain_alias_deleted AFTER DELETE ON domain_alias BEGIN
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('domain_alias', OLD.id, OLD.name, NULL, OLD.version + 1);
END;
CREATE TRIGGER domain_alias_id BEFORE UPDATE OF id ON domain_alias WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER account_inserted AFTER INSERT ON account BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    INSERT INTO address (address, kind, ref_id) VALUES (NEW.address, 'account', NEW.id);
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('account', NEW.id, NULL, NEW.address, NEW.version);
END;
CREATE TRIGGER account_updated AFTER UPDATE OF local_part, domain, active, password, quota, forward, forward_keep ON account BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE NEW.address <> OLD.address
        AND EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    UPDATE address SET address = NEW.address WHERE address = OLD.address AND NEW.address <> OLD.address;
    UPDATE account SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'account', id, OLD.address, address, version FROM account WHERE id = NEW.id;
END;
CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN
    DELETE FROM address WHERE address = OLD.address;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('account', OLD.id, OLD.address, NULL, OLD.version + 1);
END;
CREATE TRIGGER account_id BEFORE UPDATE OF id ON account WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER alias_inserted AFTER INSERT ON alias BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    INSERT INTO address (address, kind, ref_id) VALUES (NEW.address, 'alias', NEW.id);
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('alias', NEW.id, NULL, NEW.address, NEW.version);
END;
CREATE TRIGGER alias_updated AFTER UPDATE OF local_part, domain, active ON alias BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE NEW.address <> OLD.address
        AND EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    UPDATE address SET address = NEW.address WHERE address = OLD.address AND NEW.address <> OLD.address;
    UPDATE alias SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'alias', id, OLD.address, address, version FROM alias WHERE id = NEW.id;
END;
CREATE TRIGGER alias_deleted AFTER DELETE ON alias BEGIN
    DELETE FROM address WHERE address = OLD.address;
    DELETE FROM alias_target WHERE alias_id = OLD.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('alias', OLD.id, OLD.address, NULL, OLD.version + 1);
END;
CREATE TRIGGER alias_id BEFORE UPDATE OF id ON alias WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER list_inserted AFTER INSERT ON list BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    INSERT INTO address (address, kind, ref_id) VALUES (NEW.address, 'list', NEW.id);
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('list', NEW.id, NULL, NEW.address, NEW.version);
END;
CREATE TRIGGER list_updated AFTER UPDATE OF local_part, domain, active, mode, owner, require_auth ON list BEGIN
    SELECT RAISE(ABORT, 'there is no such domain') WHERE NOT EXISTS (SELECT 1 FROM domain WHERE name = NEW.domain);
    SELECT RAISE(ABORT, 'the address is taken') WHERE NEW.address <> OLD.address
        AND EXISTS (SELECT 1 FROM address WHERE address = NEW.address);
    UPDATE address SET address = NEW.address WHERE address = OLD.address AND NEW.address <> OLD.address;
    UPDATE list SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'list', id, OLD.address, address, version FROM list WHERE id = NEW.id;
END;
CREATE TRIGGER list_deleted AFTER DELETE ON list BEGIN
    DELETE FROM address WHERE address = OLD.address;
    DELETE FROM list_member WHERE list_id = OLD.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('list', OLD.id, OLD.address, NULL, OLD.version + 1);
END;
CREATE TRIGGER list_id BEFORE UPDATE OF id ON list WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER route_inserted AFTER INSERT ON route BEGIN
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('route', NEW.id, NULL, NEW.domain, NEW.version);
END;
CREATE TRIGGER route_updated AFTER UPDATE OF domain, active, hosts, mx, tls, preference, username, password ON route BEGIN
    UPDATE route SET version = max(version, OLD.version) + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'route', id, OLD.domain, domain, version FROM route WHERE id = NEW.id;
END;
CREATE TRIGGER route_deleted AFTER DELETE ON route BEGIN
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        VALUES ('route', OLD.id, OLD.domain, NULL, OLD.version + 1);
END;
CREATE TRIGGER route_id BEFORE UPDATE OF id ON route WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'an id does not change');
END;

CREATE TRIGGER domain_in_use BEFORE DELETE ON domain BEGIN
    SELECT RAISE(ABORT, 'the domain still has addresses or other names') WHERE EXISTS (SELECT 1 FROM domain_alias WHERE domain = OLD.name)
        OR EXISTS (SELECT 1 FROM account WHERE domain = OLD.name)
        OR EXISTS (SELECT 1 FROM alias WHERE domain = OLD.name)
        OR EXISTS (SELECT 1 FROM list WHERE domain = OLD.name);
END;

CREATE TRIGGER alias_target_inserted AFTER INSERT ON alias_target BEGIN
    SELECT RAISE(ABORT, 'there is no such alias') WHERE NOT EXISTS (SELECT 1 FROM alias WHERE id = NEW.alias_id);
    UPDATE alias SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.alias_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'alias', id, address, address, version FROM alias WHERE id = NEW.alias_id;
END;
CREATE TRIGGER alias_target_updated AFTER UPDATE ON alias_target BEGIN
    UPDATE alias SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = OLD.alias_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'alias', id, address, address, version FROM alias WHERE id = OLD.alias_id;
    UPDATE alias SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.alias_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'alias', id, address, address, version FROM alias WHERE id = NEW.alias_id;
END;
CREATE TRIGGER alias_target_deleted AFTER DELETE ON alias_target BEGIN
    UPDATE alias SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = OLD.alias_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'alias', id, address, address, version FROM alias WHERE id = OLD.alias_id;
END;

CREATE TRIGGER list_member_inserted AFTER INSERT ON list_member BEGIN
    SELECT RAISE(ABORT, 'there is no such list') WHERE NOT EXISTS (SELECT 1 FROM list WHERE id = NEW.list_id);
    UPDATE list SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.list_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'list', id, address, address, version FROM list WHERE id = NEW.list_id;
END;
CREATE TRIGGER list_member_updated AFTER UPDATE ON list_member BEGIN
    UPDATE list SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = OLD.list_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'list', id, address, address, version FROM list WHERE id = OLD.list_id;
    UPDATE list SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = NEW.list_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'list', id, address, address, version FROM list WHERE id = NEW.list_id;
END;
CREATE TRIGGER list_member_deleted AFTER DELETE ON list_member BEGIN
    UPDATE list SET version = version + 1,
        changed = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) WHERE id = OLD.list_id;
    INSERT INTO change_log (kind, id, old_name, new_name, version)
        SELECT 'list', id, address, address, version FROM list WHERE id = OLD.list_id;
END;
