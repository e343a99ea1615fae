//! A plan for people: text with or without colour.
