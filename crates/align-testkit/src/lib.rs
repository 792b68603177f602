//! For tests only: gradient checks and golden files.
