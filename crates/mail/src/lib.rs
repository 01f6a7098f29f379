//! The vocabulary of Remuda: what every other crate calls the things of mail.
//!
//! Plain values only. A word has one meaning here and everywhere (`GLOSSARY.md`), and what two layers
//! say to each other about mail is said in these types.
//!
//! # Contract
//! * **Values are valid by construction.** An [`Address`] or [`Destination`] that exists can be written
//!   into a command or a key: no CR, LF, NUL, space outside quotes, or angle bracket gets in.
//! * **Equality is the meaning.** Two spellings of one domain are one value.
//!
//! # Not here
//! The SMTP language (`smtp`), time (`clock`), any decision.

mod address;
mod capabilities;
mod endpoint;
mod envelope;
mod host_port;
mod ids;
mod next_hop;
mod outcome;
mod protocol;
mod security;
mod session;
mod source;
mod status;

pub use address::{
    ADDRESS_LENGTH_MAX, Address, AddressError, DOMAIN_LENGTH_MAX, Domain, LOCAL_PART_LENGTH_MAX,
};
pub use capabilities::{Capabilities, ServiceLimits};
pub use endpoint::{Endpoint, EndpointError, SOCKET_PATH_LENGTH_MAX, SocketPath};
pub use envelope::{Body, Envelope, Notify, OriginalRecipient, Recipient, Return, Sender};
pub use host_port::{HostPort, HostPortError};
pub use ids::{DeliveryId, EntryId, MessageId, SessionId};
pub use next_hop::{Destination, NextHop};
pub use outcome::{Blame, Failure, Outcome, Receipt, Refusal, Scope};
pub use protocol::Protocol;
pub use security::{
    Authenticated, Clear, Credentials, CredentialsId, HANDSHAKE_MEMORY, HopLogin, HopPolicy,
    IMPLICIT_TLS_PORT, Names, Secret, Tls, TlsLevel, TlsMode, TlsPolicy, TlsProtocol,
};
pub use session::{Facts, Requirements};
pub use source::{Source, Sources, Way};
pub use status::{Class, EnhancedStatus, Reply};
