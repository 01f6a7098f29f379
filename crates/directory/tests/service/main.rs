//! The directory as a whole, over real databases: what addresses mean, who logs in, what the cache does under an
//! operator's hand. Every test runs on both stores.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![allow(clippy::duplicate_mod, reason = "the same tests on another store")]

mod sqlite {
    #[path = "../attacks.rs"]
    mod attacks;
    #[path = "../control.rs"]
    mod control;
    #[path = "../files.rs"]
    mod files;
    #[path = "../logins.rs"]
    mod logins;
    mod place;
    #[path = "../resolution.rs"]
    mod resolution;
    #[path = "../world.rs"]
    mod world;
}

mod postgres {
    #[path = "../attacks.rs"]
    mod attacks;
    #[path = "../control.rs"]
    mod control;
    #[path = "../files.rs"]
    mod files;
    #[path = "../logins.rs"]
    mod logins;
    mod place;
    #[path = "../resolution.rs"]
    mod resolution;
    #[path = "../world.rs"]
    mod world;
}
