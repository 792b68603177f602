//! What all binaries share: arguments, config file, hub, logging, exit code, memory policy.
