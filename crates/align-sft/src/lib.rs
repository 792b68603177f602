//! The supervised objective.
