//! Differentiable ops with exact backward passes, and the parameter with its gradient buffer that they write to.
