//! Objects in JSON.

use serde_json::json;

use super::*;

#[test]
fn what_is_read_in_is_normal_and_valid() {
    let account: Account = serde_json::from_value(json!({"address": " Bob@Ex.COM "})).unwrap();
    assert_eq!(account.address.as_str(), "bob@ex.com");
    assert!(account.head.active && account.forward_keep);
    let route: Route = serde_json::from_value(json!({"domain": ".Ex.COM"})).unwrap();
    assert_eq!(route.domain.as_str(), ".ex.com");
    for wrong in [
        json!({"address": "bob"}),
        json!({"address": "b@x.test", "colour": 1}),
    ] {
        assert!(serde_json::from_value::<Account>(wrong).is_err());
    }
}

#[test]
fn write_only_fields_never_come_out() {
    let mut account: Account = serde_json::from_value(json!({"address": "bob@ex.com"})).unwrap();
    account.hash = Some(remuda_mail::Secret::new("$argon2id$secret"));
    assert!(!serde_json::to_string(&account).unwrap().contains("secret"));
    assert!(!format!("{account:?}").contains("secret"));
}

#[test]
fn an_object_is_read_only_under_the_kind_that_names_it() {
    let account: Account = serde_json::from_value(json!({"address": "bob@ex.com"})).unwrap();
    let object = Object::Account(account.clone());
    assert_eq!((object.kind(), object.name()), (Kind::Account, "bob@ex.com"));
    assert_eq!(Alias::from_object(object.clone()), None);
    assert_eq!(Account::from_object(object), Some(account));
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
    }
    assert_eq!(Kind::from_word("domain-alias"), Some(Kind::DomainAlias));
}
