//! The session loop over in-memory streams.
