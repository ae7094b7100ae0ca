//! The operator's Linux process: boots the guests, keeps their records and the full state, serves HTTP.
