//! What the DNS server knows: names, their records and their troubles.

use std::{collections::HashMap, net::IpAddr};

use hickory_server::proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, MX, SOA},
    },
};

/// How queries for a name go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// No answer ever.
    Silence,
}

/// All names of the server.
pub(super) struct Zone {
    /// Of every answer, in seconds.
    pub(super) ttl: u32,
    names: HashMap<Name, Vec<RData>>,
    troubles: HashMap<(Name, Option<RecordType>), Trouble>,
}

/// What to send back.
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) records: Vec<Record>,
    pub(super) soa: Vec<Record>,
}

impl Default for Zone {
    fn default() -> Self {
        Zone {
            ttl: 300,
            names: HashMap::new(),
            troubles: HashMap::new(),
        }
    }
}

impl Zone {
    pub(super) fn mx(&mut self, name: &str, preference: u16, exchange: &str) {
        self.add(name, RData::MX(MX::new(preference, fqdn(exchange))));
    }

    pub(super) fn ip(&mut self, name: &str, ip: IpAddr) {
        self.add(name, RData::from(ip));
    }

    pub(super) fn cname(&mut self, name: &str, target: &str) {
        self.add(name, RData::CNAME(CNAME(fqdn(target))));
    }

    pub(super) fn exists(&mut self, name: &str) {
        self.names.entry(fqdn(name)).or_default();
    }

    pub(super) fn trouble(&mut self, name: &str, kind: Option<RecordType>, trouble: Trouble) {
        self.troubles.insert((fqdn(name), kind), trouble);
    }

    pub(super) fn clear(&mut self, name: &str) {
        let name = fqdn(name);
        self.names.remove(&name);
        self.troubles.retain(|(of, _), _| *of != name);
    }

    fn add(&mut self, name: &str, data: RData) {
        self.names.entry(fqdn(name)).or_default().push(data);
    }

    /// The answer to a query; None = none at all.
    pub(super) fn answer(&self, name: &Name, wanted: RecordType) -> Option<Answer> {
        let mut answer = Answer::code(ResponseCode::NoError);
        let mut name = name.to_lowercase();
        // More steps than a client follows, so that a loop of CNAMEs ends here too.
        for _ in 0..ALIASES_MAX {
            if let Some(trouble) = self.trouble_of(&name, wanted) {
                return trouble.answer();
            }
            let Some(all) = self.names.get(&name) else {
                answer.code = ResponseCode::NXDomain;
                break;
            };
            if let Some(RData::CNAME(CNAME(target))) = all.iter().find(|data| is_alias(data)) {
                answer
                    .records
                    .push(self.record(&name, RData::CNAME(CNAME(target.clone()))));
                name = target.to_lowercase();
                continue;
            }
            let matching = all.iter().filter(|data| data.record_type() == wanted);
            answer
                .records
                .extend(matching.map(|data| self.record(&name, data.clone())));
            break;
        }
        if !answer.records.iter().any(|record| record.record_type() == wanted) {
            answer.soa.push(self.soa());
        }
        Some(answer)
    }

    fn trouble_of(&self, name: &Name, wanted: RecordType) -> Option<Trouble> {
        let of = |kind| self.troubles.get(&(name.clone(), kind)).copied();
        of(Some(wanted)).or_else(|| of(None))
    }

    fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.ttl, data)
    }

    fn soa(&self) -> Record {
        let soa = SOA::new(fqdn("ns.test"), fqdn("root.test"), 1, 3600, 600, 86400, self.ttl);
        self.record(&Name::root(), RData::SOA(soa))
    }
}

impl Answer {
    pub(super) fn code(code: ResponseCode) -> Self {
        Answer {
            code,
            records: Vec::new(),
            soa: Vec::new(),
        }
    }
}

impl Trouble {
    fn answer(self) -> Option<Answer> {
        match self {
            Trouble::ServerFailure => Some(Answer::code(ResponseCode::ServFail)),
            Trouble::Refused => Some(Answer::code(ResponseCode::Refused)),
            Trouble::Silence => None,
        }
    }
}

fn is_alias(data: &RData) -> bool {
    matches!(data, RData::CNAME(_))
}

pub(super) fn fqdn(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a test writes names that parse");
    name.set_fqdn(true);
    name.to_lowercase()
}

const ALIASES_MAX: usize = 16;
