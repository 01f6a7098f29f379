//! The SQL of each kind.
//!
//! # Contract
//! * **One object is one statement**, a list with its members too, so that what is read is one state (D14).
//! * **Values are bound in one order** for a new row and for one in place of another.

use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::{
    model::Kind,
    store::{By, rules},
};

/// What a look-up wants: one row.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// An object.
    Object(Kind, By<'a>),
    /// What has an address.
    Whose(&'a str),
}

impl<'a> Wanted<'a> {
    pub(super) fn query(self) -> Query<'a, Postgres, PgArguments> {
        match self {
            Wanted::Object(kind, By::Id(id)) => sqlx::query(of(kind).by_id).bind(id),
            Wanted::Object(kind, By::Name(name)) => sqlx::query(of(kind).by_name).bind(name),
            Wanted::Whose(address) => sqlx::query(WHOSE).bind(address).bind(rules::domain_of(address)),
        }
    }
}

/// The statements of one kind.
pub(super) struct Statements {
    /// `$1`: the id.
    pub by_id: &'static str,
    /// `$1`: the name.
    pub by_name: &'static str,
    /// `$1`: names after this one, `$2`: at most so many, `$3`: of this domain.
    pub page: &'static str,
    /// The row of `$1`, kept from others; its `id`.
    pub hold_id: &'static str,
    /// The row with the name `$1`, kept from others; its `id`.
    pub hold_name: &'static str,
    /// The values, as `row::bound` binds them; gives the `id`.
    pub insert: &'static str,
    /// The values, and behind them the id. The version grows also when nothing else is new.
    pub update: &'static str,
    /// `$1`: the id.
    pub delete: &'static str,
}

/// The statements of `kind`.
pub(super) fn of(kind: Kind) -> &'static Statements {
    match kind {
        Kind::Domain => &DOMAIN,
        Kind::DomainAlias => &DOMAIN_ALIAS,
        Kind::Account => &ACCOUNT,
        Kind::Alias => &ALIAS,
        Kind::List => &LIST,
        Kind::Route => &ROUTE,
    }
}

macro_rules! statements {
    (
        table: $table:literal, name: $name:literal, domain: $domain:literal,
        read: $read:literal, write: $write:literal, values: $values:literal, id: $id:literal,
    ) => {
        Statements {
            by_id: concat!(
                "SELECT o.id, o.version, o.active, o.created, o.changed, o.",
                $name,
                " AS called, ",
                $read,
                " FROM ",
                $table,
                " o WHERE o.id = $1"
            ),
            by_name: concat!(
                "SELECT o.id, o.version, o.active, o.created, o.changed, o.",
                $name,
                " AS called, ",
                $read,
                " FROM ",
                $table,
                " o WHERE o.",
                $name,
                " = $1"
            ),
            page: concat!(
                "SELECT o.id, o.version, o.active, o.created, o.changed, o.",
                $name,
                " AS called, ",
                $read,
                " FROM ",
                $table,
                " o WHERE ($1::text IS NULL OR o.",
                $name,
                " > $1) AND ($3::text IS NULL OR o.",
                $domain,
                " = $3) ORDER BY o.",
                $name,
                " LIMIT $2"
            ),
            hold_id: concat!("SELECT id FROM ", $table, " WHERE id = $1 FOR UPDATE"),
            hold_name: concat!("SELECT id FROM ", $table, " WHERE ", $name, " = $1 FOR UPDATE"),
            insert: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $write,
                ") VALUES (",
                $values,
                ") RETURNING id"
            ),
            update: concat!(
                "UPDATE ",
                $table,
                " SET (",
                $write,
                ", version) = ROW (",
                $values,
                ", version + 1) WHERE id = ",
                $id
            ),
            delete: concat!("DELETE FROM ", $table, " WHERE id = $1"),
        }
    };
}

const DOMAIN: Statements = statements! {
    table: "domain", name: "name", domain: "name",
    read: "o.catch_all, o.message_size, o.plus_addressing, o.plus_separator, o.account_limit,
        o.alias_limit, o.list_limit",
    write: "active, name, catch_all, message_size, plus_addressing, plus_separator, account_limit, alias_limit,
        list_limit",
    values: "$1, $2, $3, $4, $5, $6, $7, $8, $9", id: "$10",
};

const DOMAIN_ALIAS: Statements = statements! {
    table: "domain_alias", name: "name", domain: "domain",
    read: "o.domain",
    write: "active, name, domain",
    values: "$1, $2, $3", id: "$4",
};

const ACCOUNT: Statements = statements! {
    table: "account", name: "address", domain: "domain",
    read: "o.password, o.quota, o.forward, o.forward_keep",
    write: "active, local_part, domain, password, quota, forward, forward_keep",
    values: "$1, $2, $3, $4, $5, $6, $7", id: "$8",
};

const ALIAS: Statements = statements! {
    table: "alias", name: "address", domain: "domain",
    read: "ARRAY(SELECT t.address FROM alias_target t WHERE t.alias_id = o.id ORDER BY t.address)
        AS targets",
    write: "active, local_part, domain",
    values: "$1, $2, $3", id: "$4",
};

const LIST: Statements = statements! {
    table: "list", name: "address", domain: "domain",
    read: "o.mode, o.owner, o.require_auth,
        ARRAY(SELECT m.address FROM list_member m WHERE m.list_id = o.id ORDER BY m.address) AS members",
    write: "active, local_part, domain, mode, owner, require_auth",
    values: "$1, $2, $3, $4, $5, $6", id: "$7",
};

const ROUTE: Statements = statements! {
    table: "route", name: "domain", domain: "domain",
    read: "o.hosts, o.mx, o.tls, o.preference, o.username, o.password",
    write: "active, domain, hosts, mx, tls, preference, username, password",
    values: "$1, $2, $3, $4, $5, $6, $7, $8", id: "$9",
};

/// The parts of an alias or a list: `$1` the id, `$2` all that it is to have.
pub(super) const DROP_TARGETS: &str =
    "DELETE FROM alias_target WHERE alias_id = $1 AND address <> ALL ($2::text[])";
/// See [`DROP_TARGETS`].
pub(super) const ADD_TARGETS: &str = "INSERT INTO alias_target (alias_id, address)
    SELECT $1, new.address FROM (SELECT unnest($2::text[]) AS address) new ON CONFLICT DO NOTHING";
/// See [`DROP_TARGETS`].
pub(super) const DROP_MEMBERS: &str =
    "DELETE FROM list_member WHERE list_id = $1 AND address <> ALL ($2::text[])";
/// See [`DROP_TARGETS`].
pub(super) const ADD_MEMBERS: &str = "INSERT INTO list_member (list_id, address)
    SELECT $1, new.address FROM (SELECT unnest($2::text[]) AS address) new ON CONFLICT DO NOTHING";

/// The domains of `$1` that are there and may have any number of accounts, kept from others.
pub(super) const HOLD_UNLIMITED: &str = "SELECT name FROM domain
    WHERE name = ANY ($1::text[]) AND account_limit IS NULL ORDER BY name FOR NO KEY UPDATE";
/// Accounts, new or in place of those with their addresses; gives how many are new (a new row has no `xmax`).
pub(super) const PUT_ACCOUNTS: &str = "WITH put AS (
    INSERT INTO account (active, local_part, domain, password, quota, forward, forward_keep)
    SELECT * FROM unnest($1::boolean[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[])
    ON CONFLICT (address) DO UPDATE SET (active, password, quota, forward, forward_keep, version) =
        ROW (excluded.active, coalesce(excluded.password, account.password), excluded.quota, excluded.forward,
             excluded.forward_keep, account.version + 1)
    RETURNING xmax = 0 AS is_new)
    SELECT count(*) FILTER (WHERE is_new) FROM put";

/// $1: at most so many.
pub(super) const DOMAIN_NAMES: &str = "SELECT name FROM domain UNION ALL SELECT name FROM domain_alias \
     UNION ALL SELECT domain FROM route LIMIT $1";

/// What has the address `$1`, and its id; no row: there is no domain `$2`.
const WHOSE: &str =
    "SELECT a.kind, a.ref_id FROM domain d LEFT JOIN address a ON a.address = $1 WHERE d.name = $2";
