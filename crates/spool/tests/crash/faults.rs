//! Disks that are full, fail their syncs, are read-only or stall.
