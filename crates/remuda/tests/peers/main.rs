//! The built program against real peers: Postfix, Exim, OpenSMTPD, Dovecot, swaks, smtplib, smtp-source.
//!
//! # Contract
//! * **A peer that is not there fails its test**, with the command that brings it.
//! * **All traffic is on loopback**, and every test has servers, ports and a spool of its own.
//! * **Nothing waits for a time to pass**: only for what must happen.

mod clients;
mod crash;
mod depth;
mod dovecot;
mod first_mail;
mod groups;
mod home;
mod hosted;
mod hosts;
mod letters;
mod listeners;
mod outage;
mod receivers;
mod refusals;
mod resolved;
mod routes;
mod signals;
mod sink;
mod sources;
mod tls;
mod traffic;
