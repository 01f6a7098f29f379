//! What an export asks the database for.

use tokio::sync::mpsc;

use super::*;
use crate::bulk::{Export, Format, Written};

pub(crate) async fn who_is_gone_ends_an_export(scene: Scene<impl Fixture>) {
    let how = Export {
        format: Format::Ndjson,
        with_passwords: false,
    };
    let (send, pieces) = mpsc::channel(1);
    drop(pieces);
    let written = scene.directory.export_to(how, send).await.unwrap();
    assert_eq!(written, Written::LeftAlone);
    let log = scene.double.log();
    let pages = log.iter().filter(|query| query.verb == Verb::Page);
    assert_eq!(pages.count(), 1, "nothing is read for nobody");
}
