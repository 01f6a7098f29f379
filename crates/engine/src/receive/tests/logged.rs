//! Everything that is logged on this thread, at every level, with every field.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// The lines so far.
#[derive(Clone, Default)]
pub(super) struct Logged(Arc<Mutex<String>>);

/// Lines are kept while it lives.
pub(super) struct Here {
    _default: DefaultGuard,
    /// While there is only one subscriber, a place that logs for the first time asks the one of its own thread
    /// whether anybody listens. With two all are asked, and no thread of another test answers for this one.
    _second: Dispatch,
}

impl Logged {
    pub fn here() -> (Logged, Here) {
        let logged = Logged::default();
        let here = Here {
            _default: tracing::subscriber::set_default(logged.clone()),
            _second: Dispatch::new(NoSubscriber::default()),
        };
        (logged, here)
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut text = self.0.lock().unwrap();
        text.push_str(&line.0);
        text.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}
