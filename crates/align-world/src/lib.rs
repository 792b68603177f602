//! The embedded default: a small world of instructions in plain English, and the rule that judges an answer.
