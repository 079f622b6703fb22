//! Tables, sound and damaged.
