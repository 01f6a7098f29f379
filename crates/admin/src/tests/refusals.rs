//! Nothing is answered without the token, and nothing is changed.

use super::*;

/// F15: there is one token, so that who has none is 401, whatever he asks for.
#[tokio::test]
async fn the_directory_and_its_cache_are_for_who_has_the_token() {
    for (method, path) in [
        (Method::GET, "/api/v1/accounts"),
        (Method::POST, "/api/v1/accounts"),
        (Method::PATCH, "/api/v1/accounts/bob@ex.com"),
        (Method::DELETE, "/api/v1/domains/ex.com?all=true"),
        (Method::POST, "/api/v1/lists/l@ex.com/members"),
        (Method::GET, "/api/v1/object-cache"),
        (Method::PATCH, "/api/v1/object-cache"),
        (Method::POST, "/api/v1/object-cache/clear"),
        (Method::POST, "/api/v1/object-cache/reset-stats"),
        (Method::GET, "/api/v1/object-cache/account/bob@ex.com"),
        (Method::POST, "/api/v1/resolve"),
        (Method::POST, "/api/v1/import"),
        (Method::GET, "/api/v1/export"),
    ] {
        for wrong in [None, Some("Bearer 0123456789abcdef0123456789abcdeg")] {
            let answered = ask_of(Pretended::default(), method.clone(), path, wrong).await;
            assert_eq!(answered.status, 401, "{method} {path}");
            assert!(!answered.text.contains("ex.com"), "{}", answered.text);
        }
    }
}
