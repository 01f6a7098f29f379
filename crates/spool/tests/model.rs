//! The spool against a naive model: random verbs, with restarts between them, must agree.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use remuda_clock::{SystemClock, Wall};
use remuda_mail::{Destination, EntryId, Envelope, MessageId, Recipient};
use remuda_spool::{
    Attempt, Content, Filter, NewEntry, NewMessage, Options, Origin, Queued, Readdressed, Reroute, Selection,
    Settlement, Spool, State,
};

const DESTINATIONS: usize = 4;

/// What a test does next. Numbers pick among what is there.
#[derive(Clone, Debug)]
enum Step {
    Store {
        to: Vec<usize>,
        large: bool,
        notice: i64,
    },
    Deliver {
        pick: usize,
    },
    Defer {
        pick: usize,
        due: i64,
        drop_first: bool,
    },
    Bounce {
        pick: usize,
    },
    Notice {
        pick: usize,
        at: i64,
        warn: bool,
    },
    Hold(Which),
    Release(Which, i64),
    Retry(Which, i64),
    Delete(Which),
    Reroute {
        pick: usize,
        to: usize,
    },
    Restart,
}

#[derive(Clone, Debug)]
enum Which {
    Message(usize),
    Destination(usize),
    All,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || {
        prop_oneof![
            6 => any::<usize>().prop_map(Which::Message),
            2 => (0..DESTINATIONS).prop_map(Which::Destination),
            1 => Just(Which::All),
        ]
    };
    let pick = any::<usize>;
    prop_oneof![
        8 => (prop::collection::vec(0..DESTINATIONS, 1..4), any::<bool>(), 0..100_i64)
            .prop_map(|(to, large, notice)| Step::Store { to, large, notice }),
        4 => pick().prop_map(|pick| Step::Deliver { pick }),
        4 => (pick(), 0..100_i64, any::<bool>())
            .prop_map(|(pick, due, drop_first)| Step::Defer { pick, due, drop_first }),
        1 => pick().prop_map(|pick| Step::Bounce { pick }),
        2 => (pick(), 0..100_i64, any::<bool>()).prop_map(|(pick, at, warn)| Step::Notice { pick, at, warn }),
        1 => which().prop_map(Step::Hold),
        2 => (which(), 0..100_i64).prop_map(|(which, now)| Step::Release(which, now)),
        1 => (which(), 0..100_i64).prop_map(|(which, now)| Step::Retry(which, now)),
        1 => which().prop_map(Step::Delete),
        1 => (pick(), 0..DESTINATIONS).prop_map(|(pick, to)| Step::Reroute { pick, to }),
        1 => Just(Step::Restart),
    ]
}

/// An entry as the model sees it.
#[derive(Clone, Debug)]
struct Entry {
    queued: Queued,
    notice: Wall,
    attempts: Vec<Attempt>,
}

struct Test {
    dir: tempfile::TempDir,
    spool: Spool,
    entries: BTreeMap<EntryId, Entry>,
    contents: BTreeMap<MessageId, Bytes>,
    /// Entries that are gone: they must stay so.
    gone: Vec<Queued>,
}

fn open(dir: &tempfile::TempDir) -> Spool {
    Spool::open(Options::new(dir.path()), SystemClock::shared()).unwrap()
}

fn destination(n: usize) -> Destination {
    Destination::from_key(&format!("d{n}.test"))
}

fn recipients(count: usize) -> Vec<Recipient> {
    let address = |n: usize| format!("u{n}@d.test").parse().unwrap();
    (0..count).map(|n| Recipient::plain(address(n))).collect()
}

impl Test {
    fn message<C>(&self, to: &[usize], notice: i64, content: C) -> NewMessage<C> {
        NewMessage {
            id: self.spool.allocate_id(),
            envelope: Envelope::default(),
            origin: Origin::default(),
            arrived: Wall(10),
            expires: Wall(100),
            notice: Wall(notice),
            content,
            entries: to
                .iter()
                .map(|n| NewEntry {
                    destination: destination(*n),
                    recipients: recipients(n + 1),
                })
                .collect(),
        }
    }

    fn report(&self) -> NewMessage<Bytes> {
        self.message(&[0], 50, Bytes::from_static(b"a report"))
    }

    fn pick(&self, pick: usize) -> Option<Entry> {
        let count = self.entries.len();
        self.entries.values().nth(pick.checked_rem(count)?).cloned()
    }

    fn added(&mut self, queued: &[Queued], notice: i64, content: &Bytes) {
        for queued in queued {
            assert_eq!(queued.content_8bit, !content.is_ascii());
            self.contents.insert(queued.message, content.clone());
            let entry = Entry {
                queued: queued.clone(),
                notice: Wall(notice),
                attempts: Vec::new(),
            };
            assert!(self.entries.insert(queued.id, entry).is_none());
        }
    }

    fn removed(&mut self, id: EntryId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let message = entry.queued.message;
        self.gone.push(entry.queued);
        if !self.entries.values().any(|e| e.queued.message == message) {
            self.contents.remove(&message);
        }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Store { to, large, notice } => self.store(&to, large, notice).await,
            Step::Deliver { pick } => self.settle(pick, None, false, false).await,
            Step::Bounce { pick } => self.settle(pick, None, false, true).await,
            Step::Defer {
                pick,
                due,
                drop_first,
            } => self.settle(pick, Some(due), drop_first, false).await,
            Step::Notice { pick, at, warn } => self.notice(pick, at, warn).await,
            Step::Reroute { pick, to } => self.reroute(pick, to).await,
            Step::Hold(which) => self.hold(&which).await,
            Step::Release(which, now) => self.release(&which, Wall(now)).await,
            Step::Retry(which, now) => self.retry(&which, Wall(now)).await,
            Step::Delete(which) => self.delete(&which).await,
            Step::Restart => {
                self.spool.close().await;
                self.spool = open(&self.dir);
            }
        }
    }

    async fn store(&mut self, to: &[usize], large: bool, notice: i64) {
        let size = if large { 300_000 } else { 300 };
        let mut content = vec![b'a' + (notice % 26) as u8; size];
        if notice % 2 == 1 {
            content.push(0xe4);
        }
        let content = Bytes::from(content);
        let message = self.message(to, notice, ());
        let mut writer = self.spool.writer(message.id, None);
        writer.push(content.clone()).await.unwrap();
        let message = NewMessage {
            id: message.id,
            content: writer.finish().await.unwrap(),
            ..self.message(to, notice, Content::from(Bytes::new()))
        };
        let queued = self.spool.store(message).await.unwrap();
        assert_eq!(queued.len(), to.len());
        self.added(&queued, notice, &content);
    }

    /// Settles an entry, or one that is gone.
    async fn settle(&mut self, pick: usize, due: Option<i64>, drop_first: bool, bounce: bool) {
        let is_gone = pick.is_multiple_of(5) && !self.gone.is_empty();
        let target = if is_gone {
            self.gone.get(pick % self.gone.len()).cloned()
        } else {
            self.pick(pick).map(|entry| entry.queued)
        };
        let Some(target) = target else { return };
        let mut left = target.recipients.clone();
        if drop_first && left.len() > 1 {
            left.remove(0);
        }
        let attempt = Attempt {
            at: pick as u32 as i64,
            relay: "r".into(),
            result: "later".into(),
            ..Attempt::default()
        };
        let queued = self
            .spool
            .settle(Settlement {
                entry: target.id,
                message: target.message,
                left: if due.is_some() { left.clone() } else { Vec::new() },
                due: Wall(due.unwrap_or_default()),
                attempt: Some(attempt.clone()),
                reports: if bounce { vec![self.report()] } else { Vec::new() },
            })
            .await
            .unwrap();
        assert_eq!(queued.len(), usize::from(bounce && !is_gone));
        match (due, self.entries.get_mut(&target.id)) {
            (Some(due), Some(entry)) => {
                entry.queued.recipients = left;
                entry.queued.due = Wall(due);
                entry.queued.attempts += 1;
                entry.attempts.push(attempt);
                let surplus = entry.attempts.len().saturating_sub(5);
                entry.attempts.drain(..surplus);
            }
            _ => self.removed(target.id),
        }
        self.added(&queued, 50, &Bytes::from_static(b"a report"));
    }

    async fn notice(&mut self, pick: usize, at: i64, warn: bool) {
        let Some(target) = self.pick(pick) else { return };
        let reports = if warn { vec![self.report()] } else { Vec::new() };
        let queued = self
            .spool
            .set_notice(target.queued.id, Wall(at), reports)
            .await
            .unwrap();
        assert_eq!(queued.len(), usize::from(warn));
        self.added(&queued, 50, &Bytes::from_static(b"a report"));
        self.entries.get_mut(&target.queued.id).unwrap().notice = Wall(at);
    }

    async fn reroute(&mut self, pick: usize, to: usize) {
        let Some(old) = self.pick(pick) else { return };
        let first = old.queued.recipients[0].clone();
        let target = Reroute {
            destination: destination(to),
            recipients: vec![Readdressed {
                was: first.recipient.clone(),
                now: first.recipient.clone(),
            }],
        };
        let new = self.spool.reroute(old.queued.id, vec![target]).await.unwrap();
        assert_eq!(new.len(), 1);
        let expected = Queued {
            id: new[0].id,
            destination: destination(to),
            recipients: vec![first],
            ..old.queued.clone()
        };
        assert_eq!(new[0], expected);
        let entry = Entry {
            queued: expected,
            ..old.clone()
        };
        self.entries.insert(entry.queued.id, entry);
        let entry = self.entries.get_mut(&old.queued.id).unwrap();
        entry.queued.recipients.remove(0);
        if entry.queued.recipients.is_empty() {
            self.removed(old.queued.id);
        }
    }

    fn selection(&self, which: &Which) -> Option<(Selection, Vec<EntryId>)> {
        let selection = match which {
            Which::Message(pick) => Selection::Message(self.pick(*pick)?.queued.message),
            Which::Destination(n) => Selection::Destination(destination(*n)),
            Which::All => Selection::All,
        };
        let is_meant = |entry: &&Entry| match &selection {
            Selection::Message(message) => entry.queued.message == *message,
            Selection::Destination(destination) => entry.queued.destination == *destination,
            Selection::All => true,
        };
        let meant = self
            .entries
            .values()
            .filter(is_meant)
            .map(|entry| entry.queued.id)
            .collect();
        Some((selection, meant))
    }

    async fn hold(&mut self, which: &Which) {
        let Some((selection, meant)) = self.selection(which) else {
            return;
        };
        let changed = self.spool.hold(selection, Wall(0)).await.unwrap();
        self.change(&meant, &changed, State::Waiting, |queued| {
            queued.state = State::Held
        });
    }

    async fn release(&mut self, which: &Which, now: Wall) {
        let Some((selection, meant)) = self.selection(which) else {
            return;
        };
        let changed = self.spool.release(selection, now).await.unwrap();
        self.change(&meant, &changed, State::Held, |queued| {
            queued.state = State::Waiting;
            queued.due = queued.due.min(now);
        });
    }

    async fn retry(&mut self, which: &Which, now: Wall) {
        let Some((selection, mut meant)) = self.selection(which) else {
            return;
        };
        if !matches!(selection, Selection::Message(_)) {
            meant.retain(|id| self.entries[id].queued.due > now);
        }
        let changed = self.spool.retry(selection, now).await.unwrap();
        self.change(&meant, &changed, State::Waiting, |queued| {
            queued.due = queued.due.min(now)
        });
    }

    async fn delete(&mut self, which: &Which) {
        let Some((selection, meant)) = self.selection(which) else {
            return;
        };
        let changed = self.spool.delete(selection, Wall(0)).await.unwrap();
        assert_eq!(changed.len(), meant.len());
        meant.into_iter().for_each(|id| self.removed(id));
    }

    fn change(
        &mut self,
        meant: &[EntryId],
        changed: &[remuda_spool::Changed],
        from: State,
        change: impl Fn(&mut Queued),
    ) {
        let mut expected = 0;
        for id in meant {
            let queued = &mut self.entries.get_mut(id).unwrap().queued;
            if queued.state == from {
                expected += 1;
                change(queued);
                let seen = changed.iter().find(|changed| changed.entry == *id).unwrap();
                assert_eq!((seen.state, seen.due, seen.was), (queued.state, queued.due, from));
            }
        }
        assert_eq!(changed.len(), expected);
    }

    async fn assert_consistent(&self) {
        for n in 0..DESTINATIONS {
            self.assert_heads(&destination(n)).await;
        }
        self.assert_notices().await;
        let listed = self
            .spool
            .list(Filter {
                limit: 1000,
                ..Filter::default()
            })
            .await
            .unwrap();
        let listed: Vec<_> = listed
            .into_iter()
            .map(|listed| (listed.queued, listed.last))
            .collect();
        let all = self.entries.values();
        let expected: Vec<_> = all
            .map(|e| (e.queued.clone(), e.attempts.last().cloned()))
            .collect();
        assert_eq!(listed, expected);
        let total: u64 = self
            .spool
            .summary(Wall(10))
            .await
            .unwrap()
            .iter()
            .map(|row| row.total)
            .sum();
        assert_eq!(total, self.entries.len() as u64);
        for (message, content) in &self.contents {
            let mut reader = self.spool.content(*message).await.unwrap();
            let mut read = Vec::new();
            while let Some(piece) = reader.next().await.unwrap() {
                read.extend_from_slice(&piece);
            }
            assert_eq!(read.len(), content.len());
            assert!(read == content[..]);
            self.assert_shown(*message).await;
        }
        for gone in &self.gone {
            let shown = self.spool.show(gone.message).await.unwrap();
            assert_eq!(shown.is_some(), self.contents.contains_key(&gone.message));
        }
    }

    async fn assert_heads(&self, destination: &Destination) {
        let of = self.entries.values().map(|entry| &entry.queued);
        let mut all: Vec<&Queued> = of.filter(|queued| queued.destination == *destination).collect();
        let held = all.iter().filter(|queued| queued.state == State::Held).count() as u64;
        all.retain(|queued| queued.state == State::Waiting);
        all.sort_by_key(|queued| (queued.due, queued.id));
        let backlog = self.spool.backlog().await.unwrap();
        let backlog = backlog.iter().find(|backlog| backlog.destination == *destination);
        let found = backlog.map_or((0, 0, None), |b| (b.waiting, b.held, b.due));
        assert_eq!(
            found,
            (all.len() as u64, held, all.first().map(|first| first.due))
        );
        let heads = self.spool.heads(destination, Wall(50), 3).await.unwrap();
        let due: Vec<&Queued> = all
            .iter()
            .copied()
            .filter(|q| q.due <= Wall(50))
            .take(3)
            .collect();
        assert_eq!(heads.entries.iter().collect::<Vec<_>>(), due);
        assert_eq!(heads.next_due, all.get(due.len()).map(|next| next.due));
    }

    async fn assert_notices(&self) {
        let waiting = self
            .entries
            .values()
            .filter(|entry| entry.queued.state == State::Waiting);
        let mut expected: Vec<_> = waiting.map(|entry| (entry.notice, entry.queued.id)).collect();
        expected.sort();
        let notices = self.spool.notices(Wall(50), 1000).await.unwrap();
        let due = expected.partition_point(|(notice, _)| *notice <= Wall(50));
        let found: Vec<EntryId> = notices.due.iter().map(|queued| queued.id).collect();
        assert_eq!(
            found,
            expected[..due].iter().map(|(_, id)| *id).collect::<Vec<_>>()
        );
        assert_eq!(notices.next, expected.get(due).map(|(notice, _)| *notice));
    }

    async fn assert_shown(&self, message: MessageId) {
        let shown = self.spool.show(message).await.unwrap().unwrap();
        let shown: Vec<_> = shown
            .entries
            .into_iter()
            .map(|e| (e.queued, e.attempts))
            .collect();
        let of = self
            .entries
            .values()
            .filter(|entry| entry.queued.message == message);
        let expected: Vec<_> = of.map(|e| (e.queued.clone(), e.attempts.clone())).collect();
        assert_eq!(shown, expected);
    }
}

fn cases() -> u32 {
    if std::env::var_os("REMUDA_SOAK").is_some() {
        500
    } else {
        24
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_spool_agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let spool = open(&dir);
            let mut test = Test {
                dir,
                spool,
                entries: BTreeMap::new(),
                contents: BTreeMap::new(),
                gone: Vec::new(),
            };
            for step in steps {
                test.run(step).await;
                test.assert_consistent().await;
            }
            test.spool.close().await;
        });
    }
}
