//! Alignment mathematics as pure tensor functions.
