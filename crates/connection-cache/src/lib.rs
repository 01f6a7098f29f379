//! connection-cache
