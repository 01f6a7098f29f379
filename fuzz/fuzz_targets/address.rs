//! Any two addresses and any template of a Maildir: a name's name is itself, two mailboxes never share a
//! directory, and no directory is outside the root.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use remuda_directory::name;
use remuda_engine::local::{NAME_LENGTH_MAX, Template};
use remuda_mail::Address;

fn folded(text: &str) -> Option<Address> {
    let name = name::address(text).ok()?;
    assert_eq!(name::fold(&name).expect("a name has a name").as_str(), name.as_str());
    assert!(!name.as_str().contains(|c: char| c.is_ascii_control()), "{name:?}");
    let key = name.domain().as_str();
    assert!(key.is_ascii() && key == key.to_ascii_lowercase() || name.domain().literal().is_some(), "{key}");
    Some(name)
}

/// No name of the path climbs, is too long, or holds NUL.
fn check(path: &Path, root: &Path) {
    let below = path.strip_prefix(root).expect("within the root");
    for component in below.components() {
        let Component::Normal(name) = component else { panic!("{path:?} climbs") };
        assert!(name.len() <= NAME_LENGTH_MAX, "{path:?}");
    }
    assert!(!path.as_os_str().as_encoded_bytes().contains(&0));
}

fuzz_target!(|data: (&str, &str, &str)| {
    let (first, second, template) = data;
    let (first, second) = (folded(first), folded(second));
    let template = match template.parse::<Template>() {
        Ok(template) => {
            assert_eq!(template.to_string().parse::<Template>().as_ref(), Ok(&template));
            template
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Template::default()
        }
    };
    let root = Path::new("/data");
    let is_absolute = template.to_string().starts_with('/');
    let place = |address: &Option<Address>| {
        let path = template.directory(root, address.as_ref()?)?;
        check(&path, if is_absolute { Path::new("/") } else { root });
        Some(path)
    };
    if let (Some(a), Some(b)) = (place(&first), place(&second)) {
        let is_one = first.as_ref().map(Address::as_str) == second.as_ref().map(Address::as_str);
        assert_eq!(a == b, is_one, "{first:?} {second:?}: {a:?}");
        assert!(is_one || !a.starts_with(&b) && !b.starts_with(&a), "{a:?} in {b:?}");
    }
});
