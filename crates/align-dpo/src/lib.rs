//! Offline preference objectives.
